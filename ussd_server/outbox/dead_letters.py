"""What becomes of work that was given up: tried again, or thrown away. Pure.

Every performer stands being called twice, so each kind may be tried again under its old id:

| kind | what a second life does |
|---|---|
| `sms` | it is sent with the time that an SMS has; one that holds an access code, only while that code is the newest |
| `command` | the operator is asked first what became of the order, by its id: it is charged once |
| `query` | it is asked again; where the session has gone on, nothing is sent |
| `code` | a code is made, unless one was made since |
| `code_order` | it counts as an order of now, against the owner's limits |
| `lock_notice` | its owner is told where access is still closed |
| `push` | it is judged anew: consent, quiet hours, its own time |
| `letters`, `receipt`, `delivery` | what is over by now changes nothing |

But for `damaged`, and data that is damaged: they are not tried again.
"""

from typing import Final

from menus.session import Values
from ussd_server.stores.base import Change, DeadLetter, JournalEntry, OutboxEntry
from ussd_server.stores.damaged import DAMAGED
from ussd_server.subscribers.record import Subscriber

OUTDATED: Final = "another access code was issued since"
UNREADABLE: Final = "its data is damaged"


def refusal(dead: DeadLetter, record: Subscriber) -> str:
    """Return why this may not be tried again, "" where it may."""
    if DAMAGED in dead.data:
        return UNREADABLE
    # A code's SMS and the making of the next code share a lane: while the one waited, the other was not done.
    of_a_code = dead.kind == "code" or (dead.kind == "sms" and "sealed" in dead.data)
    return OUTDATED if of_a_code and record.access.issued_at >= dead.at else ""


def retry(dead: DeadLetter, record: Subscriber, version: int, now: int, validity_ms: int, why: Values) -> Change:
    """Return the commit by which work that was given up is due again now, with all the tries that new work has.

    `validity_ms` is the time that an SMS has from now on, where its own is over; `why` goes into the journal.
    """
    expires = dead.expires
    if expires <= now and (expires or dead.kind == "sms"):
        expires = now + validity_ms
    again = OutboxEntry(dead.id, dead.kind, now, dead.data, expires, tried=dead.attempt)
    return Change(version, record, (_note("taken back", dead, now, why),), (again,), exhumed=(dead.id,))


def discard(dead: DeadLetter, record: Subscriber, version: int, now: int, why: Values) -> Change:
    """Return the commit by which work that was given up is thrown away; `why` goes into the journal."""
    return Change(version, record, (_note("discarded", dead, now, why),), exhumed=(dead.id,))


def _note(kind: str, dead: DeadLetter, now: int, why: Values) -> JournalEntry:
    return JournalEntry(now, kind, {"id": dead.id, "kind": dead.kind, **why})
