"""The access code's rules once more, as a clerk would keep them on paper: the model that the code is held against."""

import dataclasses
from typing import Any, TypeAlias

from hypothesis import strategies as st

from ussd_server.subscribers.codes import (
    DAY_MS,
    HOUR_MS,
    LOCK_MS,
    RESERVATION_MS,
    Accepted,
    Access,
    Busy,
    Expired,
    Locked,
    Ordered,
    PhoneOnly,
    Reserved,
    SealedCode,
    Settled,
    TooMany,
    Verdict,
    Wrong,
)

SEALED = SealedCode("kek-1", b"salt", b"box")
"""Every code of these tests, as it is stored: whether an entry is right is not the rules' to find out."""
NOTHING = Access()

Said: TypeAlias = Ordered | Locked | TooMany | PhoneOnly | Reserved | Busy | Settled


def said(outcome: Any) -> Said:
    """Return an outcome without the record that goes with it, as the clerk says it."""
    return dataclasses.replace(outcome, access=NOTHING) if hasattr(outcome, "access") else outcome


@dataclasses.dataclass
class Clerk:
    """Every entry with its time, nothing summed up.

    `marks` are wrong entries since the last right one or the last lock, with the name of a try that was left to lapse;
    `open` are tries under way: when they lapse, and for which code. `beginnings` is how often the count was cleared.
    """

    code: int = 0
    born: int = 0
    guesses: int = 0
    marks: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    closed: int | None = None
    told: int | None = None
    open: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    asked: list[int] = dataclasses.field(default_factory=list)
    beginnings: int = 0

    def at(self, now: int) -> "Clerk":
        """Return a copy of the paper as it would stand at this moment."""
        copy = dataclasses.replace(self, marks=[*self.marks], open=dict(self.open), asked=[*self.asked])
        for deadline, name, code in sorted((end, name, code) for name, (end, code) in copy.open.items()):
            if now >= deadline:
                del copy.open[name]
                copy.mark(deadline, code, name)
        if copy.closed is not None and now >= copy.closed:
            copy.wipe()
        return copy

    def mark(self, at: int, code: int, name: str = "") -> None:
        self.marks.append((at, name))
        if code == self.code:
            self.guesses += 1
        if len(self.marks) == 3:
            self.closed = at + 24 * 60 * 60 * 1000

    def wipe(self) -> None:
        self.marks, self.closed, self.told = [], None, None
        self.beginnings += 1

    def alive(self) -> bool:
        return self.code > 0 and self.guesses < 99

    def refusal(self) -> Wrong | Locked:
        return Locked(self.closed) if self.closed is not None else Wrong(3 - len(self.marks))

    # What is asked of the clerk at a moment; each is done on a copy that `at` this moment returned.

    def order(self, now: int, terminal: bool = False) -> Said:
        if terminal and self.code and not self.alive():
            return PhoneOnly()
        if self.closed is not None:
            return Locked(self.closed)
        latest = sorted(self.asked)[::-1]
        hourly, daily = (1, 3) if terminal else (2, 4)  # one an hour and a day is left for the phone
        hour = latest[hourly] + 3_600_000 if len(latest) > hourly else 0
        day = latest[daily] + 86_400_000 if len(latest) > daily else 0
        if now < max(hour, day):
            return TooMany(max(hour, day))
        self.asked.append(now)
        return Ordered(NOTHING)

    def issue(self, now: int) -> None:
        self.code, self.born, self.guesses = self.code + 1, now, 0

    def reserve(self, name: str, now: int) -> Said:
        if any(name == left for _, left in self.marks):
            return Settled(NOTHING, self.refusal())
        if self.closed is not None:
            return Locked(self.closed)
        again = name in self.open
        if not again and len(self.marks) + len(self.open) >= 3:
            return Busy()
        _, code = self.open.setdefault(name, (now + 30_000, self.code))
        last = len(self.marks) + len(self.open) == 3
        closes = max(end for end, _ in self.open.values()) if last else 0
        sealed = SEALED if self.alive() and code == self.code else None
        return Reserved(NOTHING, name, sealed, code, again, closes)

    def settle(self, name: str, right: bool, now: int) -> Verdict:
        if name not in self.open:
            return self.refusal()
        _, code = self.open.pop(name)
        if right and code == self.code and self.alive():
            if now - self.born >= 90 * 24 * 60 * 60 * 1000:
                return Expired()
            self.wipe()
            return Accepted()
        self.mark(now, code)
        return self.refusal()


STEPS = st.one_of(
    st.integers(0, 3_000),
    st.integers(25_000, 35_000),
    st.integers(1, 26).map(lambda hours: hours * HOUR_MS),
    st.sampled_from([RESERVATION_MS, HOUR_MS, LOCK_MS, LOCK_MS - RESERVATION_MS, 89 * DAY_MS, 90 * DAY_MS]),
    st.integers(-90_000, -1),
    st.just(-2 * HOUR_MS),
)
"""What a clock may do between two looks at it (ms): go on, be set forward, be set back."""
