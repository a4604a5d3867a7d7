"""The times of a link, in milliseconds: until when it waits for what, and when it must look after itself next."""

from typing import Final

NEVER: Final = 1 << 63


class Timers:
    """What is due when, but for what waits by itself; `soonest` says when all of it is."""

    def __init__(self, response_ms: int, enquire_ms: int, inactivity_ms: int) -> None:
        self._response_ms = response_ms
        self._enquire_ms = enquire_ms
        self._inactivity_ms = inactivity_ms
        self.sooner = True
        """Whether something may be due sooner than `soonest` last said; else a timer that runs may be left."""
        self._told = NEVER
        self.heard = 0
        """When anything came last."""
        self.active = 0
        """When the last message or response went either way."""
        self.state_deadline: int | None = None
        """Until when a bind, or the response to our unbind, is awaited."""
        self.drain_deadline: int | None = None
        """Until when responses are awaited before the link ends."""
        self.enquiry = 0
        """The sequence number of our enquire_link that is not answered; 0 for none."""
        self._enquiry_deadline = 0

    def awaited_until(self, now: int) -> int:
        """Return until when the response is awaited to what is sent now."""
        self.active = now
        deadline = now + self._response_ms
        if deadline < self._told:
            self.sooner = True
        return deadline

    def enquired(self, sequence: int, now: int) -> None:
        """Note that the other side was asked whether it is there."""
        self.enquiry, self._enquiry_deadline = sequence, now + self._response_ms

    def alive(self) -> None:
        """Note that it is; the next enquiry may be sooner than this one's answer was awaited."""
        self.enquiry = 0
        self.sooner = True

    def enquiry_due(self) -> int:
        """Return when to ask whether the other side is there, or to give it up that was asked."""
        return self._enquiry_deadline if self.enquiry else self.heard + self._enquire_ms

    def inactive(self) -> int | None:
        """Return when the link is to be given up, because nobody needs it."""
        span = self._inactivity_ms
        return self.active + span if span and self.drain_deadline is None else None

    def soonest(self, bound: bool, *others: int | None) -> int | None:
        """Return the first of all times, these others among them, None for never."""
        due = None
        asked = (self.enquiry_due(), self.inactive()) if bound else ()
        for candidate in (self.state_deadline, self.drain_deadline, *asked, *others):
            if candidate is not None and (due is None or candidate < due):
                due = candidate
        self._told = NEVER if due is None else due
        self.sooner = False
        return due
