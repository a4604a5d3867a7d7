"""A copy goes with the keys that it is sealed with, and is added only to what has the same."""

from pathlib import Path

import pytest

from tests.ussd_server.stores.copying.two import PAIRS, T0, between, copy, furnish
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import Keyring
from ussd_server.stores.base import Everything, Store
from ussd_server.stores.copying import Copier
from ussd_server.stores.moving import CopyError
from ussd_server.subscribers.record import Subscriber

RING = Keyring().completed(T0)
ROTATED = RING.rotate("kek", T0)
STRANGERS = Keyring().completed(T0)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_copy_goes_with_the_keys_that_it_is_sealed_with(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await source.note_keys("", note(RING))
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin()
        assert await target.noted_keys() == note(RING)
        assert await source.note_keys(note(RING), note(ROTATED))  # meanwhile
        await copier.copy()
        assert await target.noted_keys() == note(ROTATED)

    between(pair, tmp_path, body)


def test_what_is_added_must_have_the_keys_of_what_is_there(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await target.restore(Everything(Subscriber("447700900123")))
        assert await source.note_keys("", note(STRANGERS))
        assert await target.note_keys("", note(RING))
        with pytest.raises(CopyError, match="the new one has other keys than the old store: bring both into one"):
            await copy(source, target, into_nonempty=True)
        assert (await target.mark(), await target.noted_keys()) == ("", note(RING))
        assert await source.note_keys(note(STRANGERS), note(ROTATED))
        await copy(source, target, into_nonempty=True)
        assert await target.noted_keys() == note(ROTATED)

    between(("sqlite", "sqlite"), tmp_path, body)
