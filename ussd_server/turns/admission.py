"""How much may be begun: a limit on the turns that wait for their commit, which follows the delay that they have. Pure.

Beyond its capacity a server must leave something undone, or everybody waits ever longer. What it leaves undone is what
has not begun: a dialogue that is under way gets all its screens, a new one a polite text.

The delay is what the server itself adds to a turn: from the read of its octets until it is handled, and from there the
wait for its commit. The operator's time is not in it. Of each window the *least* delay counts, as in CoDel: a burst has
some turns that did not wait, a standing queue has none. Where even the luckiest turn waited for longer than `TARGET_S`,
in two windows one after the other, the limit becomes what Little's law allows: as many turns as are completed in that
time. While the delay is below half of it the limit grows again, and slowly until it is reached.
`docs/decisions/0016-shedding-by-measured-delay.md` has the reasons.

A store that takes long by itself, however little it has to do, is not overloaded: its own time is measured while few
turns wait, and three times that is allowed.

Seconds are those of any clock that does not go back.
"""

from collections import Counter
from enum import Enum
from math import inf
from typing import Final

TARGET_S: Final = 0.1
"""What nobody notices: a reaction within it seems immediate (Nielsen), and USSD itself takes ten times as long."""

MOST_TARGET_S: Final = 1.0
"""The delay that is allowed at most where the store is slow by itself."""

WINDOW_S: Final = 0.1
"""CoDel's interval: longer than a group of commits and a pause of the disk take."""

LATE_WINDOWS: Final = 2
"""Windows one after the other whose delay must be too long before anything is refused."""

FLOOR: Final = 64
"""The least limit: a quarter of a group of commits, so that these are still worth their flush."""

RATE_KEPT: Final = 15 / 16
"""What is left of the best rate of completion in each later window; a short pause must not look like less capacity."""

GROWTH: Final = 8
"""The limit grows by one part in so many in each window while the delay is short."""

SLOW_GROWTH: Final = 64
"""The same while the delay is near its target: of a store that takes long by itself, that may be all there ever is."""

MAX_WAITING: Final = 8
"""How many inputs of one subscriber may wait for the one under way; a person has one or two, a loop has more."""

MAX_PARTS_WAITING: Final = 64
"""The same for parts of long SMS, which come as fast as the SMSC's window lets them."""


class Kind(Enum):
    """What asks to be begun, the most important first. What ends something is always taken, for it makes room.

    The values are its share of the limit and its share of the bound on all turns under way, in eighths; 0 is no limit.
    """

    ENDING = (0, 16)
    UNDER_WAY = (0, 8)
    SMS = (10, 7)
    DIALOGUE = (8, 6)
    VISIT = (6, 5)

    def __init__(self, of_limit: int, of_bound: int) -> None:
        self.of_limit = of_limit
        self.of_bound = of_bound


class Admission:
    """Decides what may begin, from at most `bound` turns under way and the delay of those that waited for a commit.

    The shell tells `begun` and `done` for each turn that waits for its commit, and `tick` with the time.
    """

    __slots__ = (
        "_age",
        "_best",
        "_bound",
        "_completed",
        "_heard",
        "_late",
        "_least",
        "_opened",
        "_own",
        "_peak",
        "_target",
        "crowded",
        "delay",
        "limit",
        "pressed",
        "shed",
        "waiting",
    )

    def __init__(self, bound: int, target_s: float = TARGET_S) -> None:
        self._bound = bound
        self._target = target_s
        self.limit = self.most
        """New dialogues begin while fewer turns than this wait for their commit."""
        self.waiting = 0
        """Turns that wait for their commit."""
        self.delay = 0.0
        """The standing delay of the last window, seconds."""
        self.pressed = False
        """Whether the delay is near its target, so that what nobody waits for should wait."""
        self.shed: Counter[Kind] = Counter()
        """What was refused so far."""
        self.crowded = 0
        """What was refused so far for too much of its subscriber waited: a loop of theirs, not the server's load."""
        self._own = 0.0
        self._best = 0.0
        self._late = 0
        self._opened = self._heard = -inf
        self._least, self._age, self._completed, self._peak = inf, 0.0, 0, 0

    @property
    def most(self) -> int:
        """The greatest limit, which is in force while the delay is short."""
        return max(FLOOR, self._bound)

    @property
    def target(self) -> float:
        """The delay beyond which the limit is lowered, seconds."""
        return max(self._target, min(3 * self._own, MOST_TARGET_S))

    def admits(self, kind: Kind, under_way: int, before: int = 0) -> bool:
        """Return whether this may begin beside so many turns under way, and behind so many that have not begun yet."""
        if under_way and 8 * under_way >= kind.of_bound * self._bound:
            return False
        return not kind.of_limit or 8 * (self.waiting + before) < kind.of_limit * self.limit

    def refuse(self, kind: Kind) -> None:
        """Count what was not admitted."""
        self.shed[kind] += 1

    def crowd(self) -> None:
        """Count what was refused for too much of its subscriber waited."""
        self.crowded += 1

    def begun(self) -> None:
        """Count a turn that waits for its commit from now on."""
        self.waiting = waiting = self.waiting + 1
        if waiting > self._peak:
            self._peak = waiting

    def done(self, age: float, took: float) -> None:
        """Count a turn whose commit ended: it was handled at this age, and waited so long for the commit (s)."""
        self.waiting -= 1
        self._completed += 1
        if age > self._age:
            self._age = age
        if age + took < self._least:
            self._least = age + took

    def tick(self, now: float) -> bool:
        """Judge the window that ends now, and return True; False where it has not lasted long enough."""
        if self._opened == -inf:
            self._heard = now
            self._open(now)
        length = now - self._opened
        if length < WINDOW_S:
            return False
        self._judge(now, length)
        self._open(now)
        return True

    def _open(self, now: float) -> None:
        self._opened = now
        self._least = inf
        self._age = 0.0
        self._completed = 0
        self._peak = self.waiting

    def _judge(self, now: float, length: float) -> None:
        if self._completed or not self.waiting:
            self._heard = now
            self.delay = self._least if self._completed else 0.0
        else:  # nothing was completed: what waits has waited at least since then
            self.delay = max(0.0, now - self._heard)
        self._best = max(self._completed / length, self._best * RATE_KEPT)
        if self._completed and self._peak <= FLOOR and self._age <= self._target / 4:
            self._own += (self.delay - self._own) * (1.0 if self.delay < self._own else 1 / 8)
        target = self.target
        self._late = self._late + 1 if self.delay > target else 0
        if self._late >= LATE_WINDOWS:
            self.limit = min(self.limit, max(FLOOR, int(self._best * target)))
        elif self.delay <= target / 2:
            self.limit = min(self.most, self.limit + self.limit // GROWTH)
        elif not self._late:
            self.limit = min(self.most, self.limit + self.limit // SLOW_GROWTH)
        self.pressed = self.delay > target * 3 / 4


ANSWERS_TARGET_S: Final = 0.5
"""How long screens may stand in line for an SMSC's window before new dialogues are refused there."""

ANSWERS_MOST_S: Final = 2.0
"""The same before new dialogues do not even get the polite text, which would stand in that line, too."""


class Backlog:
    """The screens that wait for one operator's window, and whether they are so many that nothing new may begin there.

    Their delay is what Little's law makes of how many wait, the least of a window, and how many go out.
    """

    __slots__ = ("_gone", "_heard", "_late", "_least", "_opened", "delay", "full", "stands")

    def __init__(self) -> None:
        self.delay = 0.0
        """How long a screen stands in line, seconds."""
        self.stands = False
        """Whether new dialogues are to be refused."""
        self.full = False
        """Whether they are to be refused without a word."""
        self._opened = self._heard = -inf
        self._least = self._gone = self._late = 0

    def tick(self, now: float, waiting: int, gone: int) -> None:
        """Note how many wait now, and how many have gone out in all; a count that is smaller has begun anew."""
        if self._opened == -inf:
            self._heard = now
            self._open(now, waiting, gone)
        self._least = min(self._least, waiting)
        length = now - self._opened
        if length >= WINDOW_S:
            self._judge(now, max(0, gone - self._gone) / length)
            self._open(now, waiting, gone)

    def _open(self, now: float, waiting: int, gone: int) -> None:
        self._opened, self._least, self._gone = now, waiting, gone

    def _judge(self, now: float, rate: float) -> None:
        if rate or not self._least:
            self._heard = now
        self.delay = self._least / rate if rate else now - self._heard
        self._late = self._late + 1 if self.delay > ANSWERS_TARGET_S else 0
        if self._late >= LATE_WINDOWS:
            self.stands = True
        elif self.delay <= ANSWERS_TARGET_S / 2:
            self.stands = False
        self.full = self.stands and self.delay > ANSWERS_MOST_S
