"""How long an SMS sender is answered: a person with every right to be wrong, not a machine in a loop with us.

Two limits, because they guard against two things. A text that leads nowhere is explained a few times a day; an
automatic sender (a balance notifier, another robot, our own echo) never says anything else, and hears nothing more.
And whatever is said, one number gets only so many answers an hour.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from ussd_server.subscribers.record import Subscriber

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

STRAYS_A_DAY = 3
"""Explanations of what could be sent that one number gets in 24 hours, until it sends something that is known."""


def _within(span: int, times: tuple[int, ...], now: int) -> tuple[int, ...]:
    if not times or now - min(times) < span:  # nearly always
        return times
    return tuple(at for at in times if now - at < span)


@dataclass(frozen=True)
class Patience:
    """The limits: automatic answers to one number in any hour, and explanations in any day."""

    replies_an_hour: int
    strays_a_day: int = STRAYS_A_DAY

    def one_more(self, record: Subscriber, now: int, known: bool) -> Subscriber | None:
        """Return the record with one more answer counted, or None where there is to be none.

        `known` says that the text leads somewhere; it takes the sender for a person again.
        """
        replies = _within(HOUR_MS, record.replies, now)
        if len(replies) >= self.replies_an_hour:
            return None
        strays: tuple[int, ...] = ()
        if not known:
            strays = _within(DAY_MS, record.strays, now)
            if len(strays) >= self.strays_a_day:
                return None
            strays = (*strays, now)
        return replace(record, replies=(*replies, now), strays=strays)
