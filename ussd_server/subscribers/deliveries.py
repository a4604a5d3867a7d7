"""What became of SMS that were sent: whose receipts are awaited, and how each ends. Pure functions over one part of the
subscriber's record.

| an SMS | is | until |
|---|---|---|
| that the SMSC has taken | awaited, by its parts' message ids | each part has a final receipt, or its time is over |
| of which every part was delivered | `delivered` | |
| of which a part never will be | `failed`, or `expired` where the SMSC says that of one and no part failed | |
| whose receipts did not all come in time | `expired`, or `failed` where one said so | |
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from smpp.receipts import Outcome

MOST_AWAITED: Final = 32
"""SMS of one subscriber whose receipts are awaited; beyond it the oldest ends as if its time were over."""


class Awaited(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An SMS that the SMSC of `account` took at `sent` (ms): its message ids, each with what became of it, "" as yet.

    `error` is the network's reason for a part that was not delivered. The form is stored: fields are only appended.
    """

    account: str
    sent: int
    parts: dict[str, str]
    error: str = ""


class Ended(NamedTuple):
    """An SMS that is no longer awaited, by the id of its outbox entry, and how it ended."""

    sms: str
    awaited: Awaited
    outcome: Outcome


class Received(NamedTuple):
    """The SMS awaited after a receipt, and the one that ended by it; the same as before where the receipt is known."""

    awaited: dict[str, Awaited]
    ended: Ended | None


def await_receipts(
    awaited: Mapping[str, Awaited], sms: str, new: Awaited
) -> tuple[dict[str, Awaited], tuple[Ended, ...]]:
    """Return what is awaited with one more SMS, and those that end because they are too many."""
    kept = {**awaited, sms: new}
    ended = tuple(_ended(old, kept[old]) for old in list(kept)[:-MOST_AWAITED])
    for each in ended:
        del kept[each.sms]
    return kept, ended


def receive(
    awaited: Mapping[str, Awaited], account: str, message_id: str, outcome: Outcome, error: str
) -> Received | None:
    """Take a final receipt; None where no SMS of this account with such a part is awaited.

    The latest is looked at first: an SMSC may number anew. Of two receipts for one part the first counts.
    """
    for sms, one in reversed(list(awaited.items())):
        if one.account == account and message_id in one.parts:
            if one.parts[message_id]:
                return Received(dict(awaited), None)
            known = one.error if outcome == "delivered" else error or one.error
            one = msgspec.structs.replace(one, parts={**one.parts, message_id: outcome}, error=known)
            if all(one.parts.values()):
                return Received(_without(awaited, sms), _ended(sms, one))
            return Received({**awaited, sms: one}, None)
    return None


def give_up(awaited: Mapping[str, Awaited], sms: str) -> Received:
    """Wait no longer for the receipts of an SMS."""
    one = awaited.get(sms)
    return Received(_without(awaited, sms), None if one is None else _ended(sms, one))


def _ended(sms: str, one: Awaited) -> Ended:
    return Ended(sms, one, _worst(one.parts.values()))


def _worst(parts: Iterable[str]) -> Outcome:
    """Return how a message ended whose parts ended so; a part without a receipt has expired."""
    ends = set(parts)
    if "failed" in ends:
        return "failed"
    return "delivered" if ends == {"delivered"} else "expired"


def _without(awaited: Mapping[str, Awaited], sms: str) -> dict[str, Awaited]:
    return {other: one for other, one in awaited.items() if other != sms}
