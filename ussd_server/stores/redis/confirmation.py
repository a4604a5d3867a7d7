"""Whether a server is surely the master, and for how long, by what the Sentinels say of it. Pure.

A failover begins only when a majority of all Sentinels has voted for the one that carries it out, and whoever asks one
is told how it voted. So where a majority is asked and knows of no vote that may still lead to something, no replica had
left the master when they were asked. They vote only when as many as the quorum have not heard of the master for
`down-after-milliseconds`: for so long it is sure beforehand.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ussd_server.stores.redis.wire import Address

MOST_MS: Final = 1_000
"""For how long it is believed at most: a failover that an operator asks for waits for no silence, and for no vote."""

DOWN: Final = frozenset({"s_down", "o_down", "master_reboot"})
"""Flags of a Sentinel that has not heard of the master in time, or may replace it because it was restarted."""

ELECTION_MS: Final = 10_000
"""How long a Sentinel waits for votes."""


@dataclass(frozen=True)
class View:
    """What one Sentinel, known by its id, says when it is asked about a server.

    `names` is the master as it tells it to clients. `watches` is whom its flags are about: the same, but at the end of
    a failover the old master. `epoch` numbers the failover that made `names` the master, `voted` the last one that this
    Sentinel voted for, with `leader` to carry it out; "" where it does not remember whom. `sentinels` is how many
    there are, as far as it knows, and `heard_ms` how long ago the master answered it.
    """

    sentinel: str
    names: Address
    watches: Address
    flags: frozenset[str]
    epoch: int
    voted: int
    leader: str
    sentinels: int
    quorum: int
    heard_ms: int
    down_after_ms: int
    failover_timeout_ms: int

    @property
    def fails_over(self) -> bool:
        """Whether it carries out a failover whose outcome is open."""
        return "failover_in_progress" in self.flags and self.names == self.watches


@dataclass(frozen=True)
class Verdict:
    """`doubt` says why it is not sure, "" where it is: as of when they were asked, and for `lease_ms` from then."""

    doubt: str = ""
    lease_ms: int = 0


def majority(views: Sequence[View]) -> int:
    """Return how many Sentinels decide, by the one that knows of most."""
    return max(view.sentinels for view in views) // 2 + 1


def newest(views: Sequence[View]) -> Address:
    """Return whom the Sentinel names that knows of the last failover."""
    return max(views, key=lambda view: view.epoch).names


def open_votes(views: Sequence[View], since: Mapping[int, int], now: int) -> dict[int, int]:
    """Return since when (ms) it is known of each failover that was voted for and may still make a master.

    `since` is what this returned when the Sentinels were asked before. Not all answer each time, so one that nobody
    tells of now stays known, until everybody knows of a master that was made later.
    """
    told = {view.voted: now for view in views if view.voted > view.epoch}
    made = min(view.epoch for view in views)
    return {vote: at for vote, at in (told | dict(since)).items() if vote > made}


def given_up(views: Sequence[View], since: Mapping[int, int], now: int) -> set[int]:
    """Return those of the open votes that are so old that nothing comes of them any more."""
    longest = longest_failover_ms(views)
    return {vote for vote, at in since.items() if now - at > longest}


def longest_failover_ms(views: Sequence[View]) -> int:
    """Return how long after a vote a replica may be made the master, at most: election, order, its execution."""
    return ELECTION_MS + 2 * max(view.failover_timeout_ms for view in views)


def judge(views: Sequence[View], address: Address, given_up: Collection[int] = ()) -> Verdict:
    """Return whether this server is the master, by what at least one Sentinel says that was asked about it.

    `given_up` are votes that are so long ago that nothing comes of them any more.
    """
    each = {view.sentinel: view for view in views}  # the URL may name one twice
    known = max(view.sentinels for view in views)
    if any(view.fails_over for view in each.values()):
        return Verdict("a failover is under way")
    naming = [view for view in each.values() if view.names == address]
    host, port = newest(views)
    if not naming or max(view.epoch for view in naming) < max(view.epoch for view in views):
        return Verdict(f"the Sentinels name {host}:{port}")
    agreeing = [view for view in naming if view.watches != address or not view.flags & DOWN]
    settled = [view for view in agreeing if len(each) == known or _settled(view, given_up, each)]
    needed = majority(views)
    if len(settled) >= needed:
        return Verdict(lease_ms=_lease_ms(settled, address, known, needed))
    if len(agreeing) >= needed:
        return Verdict("the Sentinels voted for a failover, and the one that should carry it out does not answer")
    if len(each) < needed:
        return Verdict(f"only {len(each)} of {known} Sentinels answer (name them all in the store's URL)")
    return Verdict(f"only {len(agreeing)} of {known} Sentinels see it up")


def _settled(view: View, given_up: Collection[int], answered: Mapping[str, View]) -> bool:
    """Whether nothing comes any more of what this Sentinel voted for: nobody who answered carries out a failover."""
    return view.voted <= view.epoch or view.voted in given_up or view.leader in answered


def _lease_ms(settled: Sequence[View], address: Address, known: int, needed: int) -> int:
    """Return how long it is sure that no quorum of Sentinels calls this server down: one of these would be of it."""
    needed = max(needed, known - min(view.quorum for view in settled) + 1)
    left = sorted((view.down_after_ms - view.heard_ms for view in settled if view.watches == address), reverse=True)
    return min(MOST_MS, max(0, left[needed - 1])) if len(left) >= needed else 0
