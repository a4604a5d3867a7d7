"""USSD inputs as phones and SMSC saw them, and how long each had a way to its answer. Pure.

A screen goes out by the link that its input came by, beside the acknowledgement. When that link is gone nobody brings
it, and the subscriber asks again: of such an input nothing more is promised than that its effect is whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.chaos import screens
from tests.chaos.ledger import Acknowledged, Dropped, Event, Happened, Linked, Screen, Sent, Unlinked
from tests.chaos.lives import Lives

HINDERING: Final = frozenset({"pause", "silent link", "slow disk", "full disk"})
"""Kinds of faults that hold up an answer though there is a link; where the store is down there is none either."""

AFTER_MS: Final = 3_000
"""How long after such a fault what it held up may take to be worked off."""

Span: TypeAlias = tuple[int, int]
"""From when to when, in ms since 1970 UTC."""


@dataclass
class Step:
    """A USSD input: when it was acknowledged and dropped, and the screens of its dialogue that can answer it."""

    sent: Sent
    taken: Acknowledged | None = None
    dropped: Dropped | None = None
    shown: list[Screen] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether a screen came by the link that acknowledged the input."""
        return self.taken is not None and any(screen.link == self.taken.link for screen in self.shown)


def kinds(sent: Sent, lives: Lives) -> tuple[str, ...]:
    """Return the kinds of screens that may answer an input; who may be forgotten by then is perhaps a stranger."""
    return (*sent.expects, *screens.EXCUSES, *(("stranger",) if lives.earlier(sent) else ()))


def steps(events: Iterable[Event], lives: Lives) -> list[Step]:
    """Return every USSD input with what became of it."""
    found: dict[int, Step] = {}
    dialogues: dict[tuple[str, int], list[Step]] = defaultdict(list)
    for event in events:
        match event:
            case Sent(channel="ussd"):
                dialogue = dialogues[event.msisdn, event.dialogue]
                if event.text.startswith("*"):
                    dialogue.clear()
                step = found[event.input] = Step(event)
                dialogue.append(step)
            case Acknowledged() if event.input in found:
                found[event.input].taken = event
            case Dropped() if event.input in found:
                found[event.input].dropped = event
            case Screen():
                for step in dialogues[event.msisdn, event.dialogue]:
                    if any(screens.fits(event.text, kind) for kind in kinds(step.sent, lives)):
                        step.shown.append(event)
    return list(found.values())


class Ways:
    """When there was a way from phones to answers, by the links and faults of a ledger."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._ends: dict[str, int] = {}
        self._hindered: list[Span] = []
        self._bound: set[str] = set()
        self._none_since = 0
        for event in events:
            match event:
                case Linked():
                    if not self._bound:
                        self._hindered.append((self._none_since, event.at))
                    self._bound.add(event.link)
                case Unlinked():
                    self._end(event.at, {event.link})
                case Happened(target="smsc") if event.killed:
                    self._end(event.at, set(self._bound))
                case Happened() if event.kind in HINDERING or event.target.startswith("store"):
                    self._hindered.append((event.at, event.at + event.span + AFTER_MS))
        if self._ends and not self._bound:
            self._hindered.append((self._none_since, events[-1].at))
        self._hindered.sort()

    def _end(self, at: int, links: set[str]) -> None:
        """Note the end of links, where it is not known yet: those of a killed SMSC are told to be gone by the next."""
        for link in links & self._bound:
            self._ends[link] = self._none_since = at
        self._bound -= links

    @property
    def ended(self) -> int:
        """How many links ended."""
        return len(self._ends)

    def ends(self, link: str, after: int, within: int) -> bool:
        """Tell whether a link ended within so many ms after a time."""
        return link in self._ends and self._ends[link] <= after + within

    def free(self, since: int, until: int) -> int:
        """Return for how many ms of a time there was a link and nothing that held up answers."""
        free, at = 0, since
        for begin, end in self._hindered:
            if begin >= until:
                break
            free += max(0, begin - at)
            at = max(at, end)
        return free + max(0, until - at)
