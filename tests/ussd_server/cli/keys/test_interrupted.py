"""A rotation that is interrupted or killed tells how far it came, loses no code, and another command ends it."""

import asyncio
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.signalled import Ended, committed, signalled
from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import CODE, MSISDN, NOW, PATH
from ussd_server.cli import keys as keys_command
from ussd_server.secrecy.keys import Keyring, load
from ussd_server.secrecy.sealed import holdings
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault, _place
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber

MANY = 1000
"""Subscribers with a code, of whom a command that is interrupted has moved less than half."""


def fill(ring: Keyring) -> None:
    """Give many subscribers a code, without the 22 ms that it takes to make one out of digits."""
    vault, sealed = Vault(ring), Vault(ring).seal(CODE, MSISDN, 1)

    async def one(store: SqliteStore, msisdn: str) -> None:
        kid, box = vault._encrypt(Secret(b"h" * 32), _place("code", msisdn, 1))
        access = Access(sealed=SealedCode(kid, sealed.salt, box), generation=1, issued_at=NOW)
        assert await store.commit(Change(0, Subscriber(msisdn, access=access)))

    async def within() -> None:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            await asyncio.gather(*(one(store, str(79100000000 + number)) for number in range(MANY)))
        finally:
            await store.close()

    asyncio.run(within())


def under() -> Counter[str]:
    """Return how many codes there are under each key."""

    async def within() -> Counter[str]:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            return Counter({kid: held["code"].count for kid, held in (await holdings(store)).items()})
        finally:
            await store.close()

    return asyncio.run(within())


def interrupted(number: signal.Signals, *words: str) -> Ended:
    """Give a command, and end it in the middle of its work."""
    return signalled(("keys", *words), number, committed(300))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_interrupts_a_rotation_reads_how_far_it_came_and_what_goes_on(
    number: signal.Signals, status: int, said: Said
) -> None:
    said("init")
    fill(load(PATH))
    old = load(PATH).current("kek").id
    code, out, err = interrupted(number, "rotate", "kek")
    new = load(PATH).current("kek").id
    assert (code, out.splitlines()) == (
        status,
        [f"{new} is in use; servers with var take it up within 2 seconds, others need a copy."],
    )
    told = re.fullmatch(
        rf"interrupted after (\d+) of {MANY} subscribers; what is under an older key still opens, "
        r"and the rest is moved by: ussd-server keys rewrap\n",
        err,
    )
    assert told, err
    left = under()
    assert 0 < int(told[1]) <= left[new] < MANY
    assert said("rewrap") == 0
    assert said.out == f"{left[old]} codes moved to {new}, in sqlite:///var/ussd-server.db.\n"
    assert under() == {new: MANY}


def test_a_rotation_that_is_killed_goes_on_and_loses_no_code(said: Said) -> None:
    """By `rewrap`, killed in turn; another `rotate` is no harm, but makes another key."""
    said("init")
    fill(load(PATH))
    old = load(PATH).current("kek").id
    assert interrupted(signal.SIGKILL, "rotate", "kek").code == -signal.SIGKILL
    new = load(PATH).current("kek").id
    assert new != old
    first = under()
    assert 0 < first[new] < MANY
    assert interrupted(signal.SIGKILL, "rewrap").code == -signal.SIGKILL
    second = under()
    assert first[new] < second[new] < MANY
    assert sum(second.values()) == MANY
    assert said("rotate", "kek") == 0
    newest = load(PATH).current("kek").id
    assert f"{MANY} codes moved to {newest}" in said.out
    assert said("retire", old, "--force") == said("retire", new, "--force") == 0
    assert said("rewrap") == 0
    assert under() == {newest: MANY}


def test_an_interruption_before_the_first_code_or_after_the_last_says_so() -> None:
    assert keys_command._Way(total=7).remark().startswith("interrupted before the first subscriber; ")
    assert keys_command._Way(total=7, walk=2, seen=7).remark().startswith("interrupted when all codes were moved, ")
