"""What a store holds sealed, counted for a command, and how that is told."""

from collections.abc import Mapping, Sequence
from typing import Final

from ussd_server.cli.common import moment
from ussd_server.cli.progress import progress
from ussd_server.cli.stores import with_store
from ussd_server.log import mask
from ussd_server.secrecy.sealed import HOLDERS, NOTHING, Held, Holder, Holdings, holdings
from ussd_server.settings import Settings
from ussd_server.stores.base import Store

HELD: Final[dict[Holder, str]] = {
    "code": "{codes}, to be moved with: ussd-server keys rewrap",
    "letters": "the parts of {sms} that is not whole, kept for an hour",
    "outbox": "{sms} with a code in the outbox, sent or given up by {until}",
    "dead letter": "{sms} with a code, given up, to be tried again or thrown away: ussd-server dead-letters list",
    "answer": "{answers} kept for terminals until {until}",
}
"""What a key still seals, and the mend or the end of it."""

LOST: Final[dict[Holder, str]] = {
    "code": "{codes}",
    "letters": "the parts of {sms} that is not whole",
    "outbox": "{sms} with a code in the outbox",
    "dead letter": "{sms} with a code, given up",
    "answer": "{answers} kept for terminals",
}
"""What no key here opens."""

NAMED: Final = 5
"""Subscribers whose records cannot be read that are named; of the others only how many there are."""
UNREAD: Final = "go back to a copy of the store, or give them up with: ussd-server subscriber forget"


def count(where: Settings) -> tuple[Holdings, list[str]]:
    """Return what is sealed under each key, and whose record cannot be read."""
    unread: list[str] = []

    async def work(store: Store) -> Holdings:
        await store.relist()  # a key of whom the walk misses would seem to be free
        with progress(await store.count_subscribers()) as moved:
            return await holdings(store, lambda more: moved("counting codes", more), unread.append)

    return with_store(where, work), unread


def needs(held: Mapping[Holder, Held]) -> str:
    """Return what a key still seals, and the mends."""
    return "; ".join(_told(HELD[holder], held[holder]) for holder in HOLDERS if holder in held)


def beyond(found: Holdings, here: Sequence[str]) -> str:
    """Return what is sealed under none of the keys that are here, by their ids; "" where nothing is."""
    others = [held for kid, held in found.items() if kid and kid not in here]
    totals = {holder: sum(held.get(holder, NOTHING).count for held in others) for holder in LOST}
    return ", ".join(_told(LOST[holder], Held(total)) for holder, total in totals.items() if total)


def unread_told(numbers: Sequence[str], full: bool = False) -> str:
    """Return how many records cannot be read, whose they are, and the mend."""
    many = "1 subscriber whose record is" if len(numbers) == 1 else f"{len(numbers)} subscribers whose records are"
    if full:
        return f"{many} damaged: {', '.join(numbers)}; {UNREAD}"
    named = ", ".join(map(mask, numbers[:NAMED]))
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"{many} damaged: {named}{more} (in full: ussd-server keys list --numbers); {UNREAD}"


def codes(number: int) -> str:
    """Return so many codes in words."""
    return "1 code" if number == 1 else f"{number} codes"


def _told(form: str, held: Held) -> str:
    return form.format(
        codes=codes(held.count),
        sms=f"{held.count} SMS",
        answers="1 answer" if held.count == 1 else f"{held.count} answers",
        until=moment(held.until),
    )
