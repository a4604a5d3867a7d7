"""Who was forgotten when, as the ledger has it, and what of a subscriber was under way meanwhile. Pure.

Between the command's first start and its word that it is done the subscriber is deleted at one moment, which nobody
outside sees. What was under way then had its effect before it, and the effect is gone, or after it, on a record that
begins anew. Before and after that all is certain.
"""

from collections import defaultdict
from collections.abc import Iterable

from tests.chaos.ledger import Acknowledged, Entry, Event, Forgetting, Forgotten, Sent


class Lives:
    """The subscribers' lives, by a ledger. A life begins where the one before it was forgotten."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._begun: dict[str, list[Forgetting]] = defaultdict(list)
        self._done: dict[str, list[Forgotten]] = defaultdict(list)
        for event in events:
            match event:
                case Forgetting():
                    self._begun[event.msisdn].append(event)
                case Forgotten():
                    self._done[event.msisdn].append(event)

    @property
    def forgotten(self) -> list[Forgotten]:
        """Every time that somebody was forgotten."""
        return [each for some in self._done.values() for each in some]

    @property
    def broken_off(self) -> int:
        """How many lives were forgotten in the middle of something."""
        return sum(not each.resting for some in self._begun.values() for each in some)

    @property
    def unended(self) -> list[str]:
        """Numbers that were to be forgotten, and no command said that it is done."""
        return [msisdn for msisdn, some in self._begun.items() if len(some) > len(self._done[msisdn])]

    def began(self, msisdn: str) -> int:
        """Return when the life began that the books tell of (ms); 0 for who was never forgotten."""
        done = self._done.get(msisdn)
        return done[-1].at if done else 0

    def first_end(self, msisdn: str) -> int | None:
        """Return when the first command began to forget this number (ms)."""
        begun = self._begun.get(msisdn)
        return begun[0].at if begun else None

    def rested(self, msisdn: str) -> bool:
        """Tell whether somebody was forgotten last while nothing of theirs was under way."""
        begun = self._begun.get(msisdn)
        return bool(begun) and begun[-1].resting

    def earlier(self, sent: Sent) -> bool:
        """Tell whether an input is of an earlier life than the books tell of."""
        return sent.at <= self.began(sent.msisdn)

    def under_way(self, sent: Sent, taken: Acknowledged | None) -> bool:
        """Tell whether an input may have had its effect before its sender was forgotten last, or after."""
        begun = self._begun.get(sent.msisdn)
        return bool(begun) and self.earlier(sent) and (taken is None or taken.at >= begun[-1].at)

    def entry_under_way(self, entry: Entry) -> bool:
        """Tell the same of a code that was entered."""
        begun = self._begun.get(entry.msisdn)
        if not begun or entry.at > self.began(entry.msisdn):
            return False
        return entry.verdict == "unknown" or entry.at + entry.took >= begun[-1].at
