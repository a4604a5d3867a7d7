"""An entry is judged where it was sealed to a key of ours, for this request, a moment ago; else no try is taken."""

import base64
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey

from tests.ussd_server.http.endpoint import CODE, NOW, WRONG, Endpoint, new_key, visit
from tests.ussd_server.http.terminals.asked import VISITS
from ussd_server.secrecy import keys
from ussd_server.secrecy.keys import Public
from ussd_server.subscribers.codes import LOCK_MS


async def untouched(at: Endpoint, msisdn: str) -> None:
    """Assert that no try was taken."""
    access = (await at.record(msisdn)).access
    assert (access.wrong, access.reservations, access.lapsed) == (0, (), ())
    assert await at.journal(msisdn) == []
    terminal, _ = await at.store.load_terminal("hall")
    assert terminal.wrong == ()


def test_sealed_to_an_unknown_key(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        octets = bytes(PrivateKey.generate().public_key)
        for id in ("transport-00000000", "", at.keys.current("kek").id, at.keys.current("signing").id):
            content = at.hall.entry(msisdn, CODE, key, to=Public(id, octets, True))
            (await at.hall.post(VISITS, content, key)).refused("transport-key-unknown")
        content = at.hall.entry(msisdn, CODE, key, to=Public(at.transport.id, octets, True))
        (await at.hall.post(VISITS, content, key)).refused("entry-unreadable")
        await untouched(at, msisdn)

    visit(tmp_path, story)


def test_sealed_to_an_old_key_until_it_is_retired(tmp_path: Path) -> None:
    """While old and new overlap both open; then the terminal is told to fetch the new one, and no try is taken."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        keys.change(at.keys.path, lambda ring: ring.rotate("transport", NOW))
        assert at.keys.refresh()
        (await at.hall.enter(await at.number(), CODE)).ok(201)
        keys.change(at.keys.path, lambda ring: ring.retire(at.transport.id))
        at.keys.refresh()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key), key)).refused("transport-key-unknown")
        await untouched(at, msisdn)
        told = (await at.hall.get("/v1/keys")).ok(200)["transport"]
        fresh = [Public(one["id"], base64.b64decode(one["public"]), True) for one in told]
        assert [one.id for one in fresh] == [at.keys.current("transport").id]
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, to=fresh[0]), key)).ok(201)

    visit(tmp_path, story)


@pytest.mark.parametrize("other", [{"msisdn": "79100200777"}, {"terminal": "yard"}, {"attempt": "another"}])
def test_inner_and_outer_fields_that_differ(tmp_path: Path, other: dict[str, Any]) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, **other), key)).refused("entry-mismatch")
        await untouched(at, msisdn)

    visit(tmp_path, story)


def test_an_entry_of_another_terminal(tmp_path: Path) -> None:
    """What was taken on its way at one terminal cannot be brought in by another."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        stolen = at.hall.entry(msisdn, CODE, key)
        (await at.yard.post(VISITS, stolen, key)).refused("entry-mismatch")
        await untouched(at, msisdn)

    visit(tmp_path, story)


@pytest.mark.parametrize(("age_ms", "taken"), [(60_000, True), (60_001, False), (-5_000, True), (-5_001, False)])
def test_an_entry_that_is_too_old_or_from_the_future(tmp_path: Path, age_ms: int, taken: bool) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        said = await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, iat=at.now - age_ms), key)
        if taken:
            said.ok(201)
        else:
            said.refused("entry-late")
            await untouched(at, msisdn)

    visit(tmp_path, story)


def _spoilt_boxes(box: str) -> list[str]:
    return [box[:-4] + "AAAA", box[:-4], box + "AAAA", "", "!" * len(box), "ü" * len(box), box[4:] + box[:4]]


def test_a_box_that_was_altered(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, CODE, key)
        for box in _spoilt_boxes(content["entry"]["box"]):
            spoilt = {**content, "entry": {**content["entry"], "box": box}}
            (await at.hall.post(VISITS, spoilt, key)).refused("entry-unreadable")
        await untouched(at, msisdn)
        (await at.hall.post(VISITS, content, key)).ok(201)

    visit(tmp_path, story)


def test_the_third_wrong_entry_locks_and_says_until_when(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        for left in (2, 1):
            assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == left
        for code in (WRONG, CODE, WRONG):
            said = await at.hall.enter(msisdn, code)
            assert said.refused("access-locked")["locked_until"] == NOW + LOCK_MS
            assert said.headers["Retry-After"] == str(LOCK_MS // 1000)
        assert (await at.journal(msisdn)).count("access locked") == 1

    visit(tmp_path, story)
