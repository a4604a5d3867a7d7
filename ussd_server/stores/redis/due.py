"""When whose work is next, as far as one server knows, so that it need not ask every bucket at every turn. Pure.

What is known are hints: a server learns of its own commits at once and of others' when it looks. The store decides.
"""

from collections.abc import Collection, Sequence
from typing import Final

HINTS: Final = 8
"""How many of a bucket's and lane's next subscribers are remembered."""


class Due:
    """For each lane and bucket the subscribers whose work is next, each with the time (ms) it can be claimed."""

    def __init__(self, lanes: Collection[int]) -> None:
        self._lanes: dict[int, dict[int, list[tuple[int, str]]]] = {lane: {} for lane in lanes}

    def heard(self, lane: int, bucket: int, ready: int, msisdn: str) -> None:
        """Take down when a subscriber's next work can be claimed, -1 for never."""
        buckets = self._lanes[lane]
        hints = [hint for hint in buckets.get(bucket, ()) if hint[1] != msisdn]
        if ready >= 0:
            hints.append((ready, msisdn))
            hints.sort()
        self._keep(buckets, bucket, hints)

    def told(self, lane: int, bucket: int, heads: Sequence[tuple[int, str]]) -> None:
        """Take down what the store says is next in a bucket; it is all that is known of it."""
        self._keep(self._lanes[lane], bucket, sorted(heads))

    def _keep(self, buckets: dict[int, list[tuple[int, str]]], bucket: int, hints: list[tuple[int, str]]) -> None:
        if hints:
            buckets[bucket] = hints[:HINTS]
        else:
            buckets.pop(bucket, None)

    def next(self, lanes: Collection[int], but: Collection[tuple[int, int]] = ()) -> int | None:
        """Return when there is next something to claim in these lanes (ms), None for never.

        `but` are lanes and buckets that are left out, here and of what is ripe.
        """
        return min(
            (
                hints[0][0]
                for lane in lanes
                for bucket, hints in self._lanes[lane].items()
                if not but or (lane, bucket) not in but
            ),
            default=None,
        )

    def ripe(self, lane: int, now: int, limit: int, but: Collection[tuple[int, int]] = ()) -> dict[int, list[str]]:
        """Return up to `limit` subscribers whose work can be claimed, the oldest first, by bucket."""
        found = sorted(
            (ready, bucket, msisdn)
            for bucket, hints in self._lanes[lane].items()
            if not but or (lane, bucket) not in but
            for ready, msisdn in hints
            if ready <= now
        )
        by_bucket: dict[int, list[str]] = {}
        for _, bucket, msisdn in found[:limit]:
            by_bucket.setdefault(bucket, []).append(msisdn)
        return by_bucket
