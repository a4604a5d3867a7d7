"""What the tests of `ussd-server keys` let the data directory and the store hold, and read back from there."""

import asyncio
from pathlib import Path

from tests.ussd_server.cli.command_line import Said
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import Change, Everything
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber

NOW = 1_763_881_200_000
DAY_MS = 24 * 3_600_000
MSISDN = "79101234567"
CODE = Secret("90417263")
PATH = Path("var/keys.json")


class Clock:
    """The time of the commands, which a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at


def put(sealed: SealedCode, msisdn: str = MSISDN) -> None:
    async def within() -> None:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            _, version = await store.load(msisdn)
            access = Access(sealed=sealed, generation=1, issued_at=NOW)
            assert await store.commit(Change(version, Subscriber(msisdn, access=access)))
        finally:
            await store.close()

    asyncio.run(within())


def kept(everything: Everything) -> None:
    """Let the store have just this of a subscriber."""

    async def within() -> None:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            await store.restore(everything)
        finally:
            await store.close()

    asyncio.run(within())


def code() -> SealedCode:
    async def within() -> SealedCode:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            record, _ = await store.load(MSISDN)
            assert record.access.sealed is not None
            return record.access.sealed
        finally:
            await store.close()

    return asyncio.run(within())


def damage(*numbers: str) -> None:
    """Let these subscribers' records be none."""

    async def within() -> None:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            for msisdn in numbers:
                assert await store.commit(Change(0, Subscriber(msisdn)))
                store._db.execute("UPDATE subscriber SET record = x'ff00' WHERE msisdn = ?", (int(msisdn),))
        finally:
            await store.close()

    asyncio.run(within())


def listed(said: Said, kid: str) -> list[str]:
    assert said("list") == 0
    return next(line for line in said.out.splitlines() if line.startswith(kid)).split()


def noted(change: str | None = None) -> str:
    """Return what the store has noted of keys, changed first where that is wanted."""

    async def within() -> str:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            if change is not None:
                assert await store.note_keys(await store.noted_keys(), change)
            return await store.noted_keys()
        finally:
            await store.close()

    return asyncio.run(within())


def lost_keys() -> Keyring:
    """Let the store have codes under keys that are lost, as after the keys.json of its servers is."""
    PATH.parent.mkdir(mode=0o700)
    lost = Keyring().completed(NOW)
    for msisdn in (MSISDN, "79101234568", "79101234569"):
        put(Vault(lost).seal(CODE, msisdn, 1), msisdn)
    noted(note(lost))
    return lost


def ids_of(ring: Keyring) -> str:
    """Return the ids as the store remembers them."""
    return ", ".join(sorted(key.id for key in ring.keys))
