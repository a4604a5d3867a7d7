"""What a store holds sealed, and under which key: so much cannot be opened any more where that key is gone.

Codes are moved to another key (`rewrap.py`). The rest ends by itself, but for what was given up, which waits for a
person.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias, get_args

from ussd_server.secrecy.rewrap import batches
from ussd_server.secrecy.vault import kid_of
from ussd_server.stores.base import DamagedRecord, Everything, Store

Holder: TypeAlias = Literal["code", "letters", "outbox", "dead letter", "answer", "subscriber"]
"""An access code and the parts of a long SMS, in a record; a text with a code that waits or was given up; the answer to
a terminal's request; a subscriber whose record cannot be read, so that nobody knows what else there is."""
HOLDERS: Final[tuple[Holder, ...]] = get_args(Holder)


@dataclass(frozen=True, slots=True)
class Held:
    """How many of a kind one key seals, and when the last of them ends by itself (ms), 0 where that is not known."""

    count: int = 0
    until: int = 0


NOTHING: Final = Held()
Holdings: TypeAlias = Mapping[str, Mapping[Holder, Held]]
"""By key id, what there is of each kind."""

_Found: TypeAlias = dict[str, dict[Holder, Held]]


async def holdings(
    store: Store,
    done: Callable[[int], None] = lambda records: None,
    unread: Callable[[str], None] = lambda msisdn: None,
) -> Holdings:
    """Walk over all subscribers once and return what is sealed under each key. Raises StoreUnavailable.

    `done` is told how many more were looked at, and `unread` whose record cannot be read. These, and what is damaged so
    that it names no key, are under "".
    """
    found: _Found = {}

    async def look(msisdn: str) -> None:
        try:
            everything = await store.dump(msisdn)
        except DamagedRecord:
            _count(found, "", "subscriber")
            unread(msisdn)
        else:
            if everything is not None:  # else it was forgotten since it was listed
                _add(found, everything)

    async for batch in batches(store):
        await asyncio.gather(*map(look, batch))
        done(len(batch))
    return found


def _count(found: _Found, kid: str, holder: Holder, until: int = 0) -> None:
    under = found.setdefault(kid, {})
    before = under.get(holder, NOTHING)
    under[holder] = Held(before.count + 1, max(before.until, until))


def _add(found: _Found, everything: Everything) -> None:
    add = partial(_count, found)
    record = everything.record
    if record.access.sealed is not None:
        add(record.access.sealed.kid, "code")
    if record.letters:
        add(kid_of(record.letters), "letters")
    for standing in everything.outbox:
        if "sealed" in standing.entry.data:
            add(kid_of(standing.entry.data["sealed"]), "outbox", standing.entry.expires)
    for dead in everything.dead_letters:
        if "sealed" in dead.data:
            add(kid_of(dead.data["sealed"]), "dead letter")
    for answer in everything.answers:
        add(kid_of(answer.body), "answer", answer.expires)
