"""`ussd-server keys rotate` and `rewrap`: a new key is in use at once, and codes move under it."""

from pathlib import Path

import pytest

from tests.redis_servers import running
from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import CODE, DAY_MS, MSISDN, NOW, PATH, Clock, code, listed, put
from ussd_server import store_note, store_url
from ussd_server.cli import keys as keys_command
from ussd_server.cli.program import outcome
from ussd_server.secrecy.keys import load, save
from ussd_server.secrecy.rewrap import rewrap
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber


def test_a_rotated_kek_is_in_use_and_every_code_is_under_it(said: Said) -> None:
    said("init")
    before = load(PATH)
    put(Vault(before).seal(CODE, MSISDN, 1))
    assert said("rotate") == 0
    ring = load(PATH)
    new = ring.current("kek")
    assert said.out.splitlines() == [
        f"{new.id} is in use; servers with var take it up within 2 seconds, others need a copy.",
        f"1 code moved to {new.id}, in sqlite:///var/ussd-server.db.",
    ]
    assert code().kid == new.id
    assert Vault(ring.retire(before.current("kek").id)).check(code(), CODE, MSISDN, 1).right
    assert Vault(ring).digest("text") == Vault(before).digest("text")
    # What was left by an interruption is moved by another command, which can be given at any time.
    put(Vault(before).seal(CODE, MSISDN, 1))
    assert said("rewrap") == 0
    assert said.out == f"1 code moved to {new.id}, in sqlite:///var/ussd-server.db.\n"
    assert said("rewrap") == 0
    assert said.out == f"0 codes moved to {new.id}, in sqlite:///var/ussd-server.db.\n"


def test_a_kek_is_given_to_every_server_before_codes_are_moved_to_it(said: Said) -> None:
    said("init")
    before = load(PATH)
    put(Vault(before).seal(CODE, MSISDN, 1))
    assert said("rotate", "kek", "--no-rewrap") == 0
    new = load(PATH).current("kek").id
    assert new != before.current("kek").id
    assert said.out.splitlines() == [
        f"{new} is in use; servers with var take it up within 2 seconds, others need a copy.",
        "No code was moved. Copy var/keys.json into every data directory now, then: ussd-server keys rewrap",
    ]
    assert Vault(before).check(code(), CODE, MSISDN, 1).right
    assert said("rewrap") == 0
    assert said.out == f"1 code moved to {new}, in sqlite:///var/ussd-server.db.\n"


def test_a_kek_is_rotated_before_the_first_start_where_no_code_is_to_be_moved(said: Said) -> None:
    """Where no store is there, none may have been named: then codes elsewhere would be counted as none."""
    said("init")
    before = load(PATH)
    assert said("rotate", "kek") == 2
    assert said.err == (
        "error: there is no store sqlite:///var/ussd-server.db, say which one the servers use with --store; "
        "or make the key alone with --no-rewrap\n"
    )
    assert load(PATH) == before
    assert said("rotate", "kek", "--no-rewrap") == 0
    old = before.current("kek").id
    assert listed(said, old)[-1] == "?"
    assert said.out.endswith(
        "no code was counted: there is no store sqlite:///var/ussd-server.db, "
        "say which one the servers use with --store\n"
    )
    assert said("rewrap") == 2
    assert said("retire", old) == 2
    assert said.err == (
        "error: there is no store sqlite:///var/ussd-server.db, say which one the servers use with --store; "
        "or retire the key with --force\n"
    )
    assert load(PATH).get(old) is not None
    assert not Path("var/ussd-server.db").exists()


def test_no_key_is_made_while_the_store_is_away(said: Said) -> None:
    said("init")
    before = load(PATH)
    assert said("rotate", "kek", "--store", "redis://127.0.0.1:1/0") == 1
    assert "no answer for 5 s" in said.err
    assert load(PATH) == before


def test_codes_are_counted_in_the_store_of_the_servers_alone(said: Said, clock: Clock) -> None:
    """The keys went along to Redis; a command without --store finds neither the codes nor, often, the file."""
    with running() as redis:
        said("init")
        old = load(PATH)
        put(Vault(old).seal(CODE, MSISDN, 1))
        assert outcome(("store", "copy", "sqlite:///var/ussd-server.db", redis.url)) == 0
        store_note.note(Path("var"), store_url.parse(redis.url))  # as the start of a server does
        save(PATH, old.rotate("kek", NOW))
        clock.at += 2 * DAY_MS
        before, kek = load(PATH), old.current("kek").id
        for words in (
            ("list",),
            ("rotate", "kek"),
            ("rewrap",),
            ("retire", kek),
            ("retire", kek, "--force"),
            ("adopt",),
        ):
            assert said(*words) == 2
            assert said.err == (
                "error: no store was named, and the servers of var use another than sqlite:///var/ussd-server.db: add "
                f"--store '{redis.url}', or --settings with the file that names it; or, to go to that one on purpose, "
                "--store 'sqlite:///var/ussd-server.db'\n"
            )
        put_away = ("--store", "sqlite:///var/ussd-server.db")
        assert said("retire", kek, *put_away) == 2
        assert f"use another store than sqlite:///var/ussd-server.db: give --store '{redis.url}'" in said.err
        assert load(PATH) == before
        there = ("--store", redis.url)
        assert said("list", *there) == 0
        assert f"codes are those in {redis.url}" in said.out
        assert said("retire", kek, *there) == 1
        assert "it seals 1 code" in said.err
        assert said("rewrap", *there) == 0
        assert said.out == f"1 code moved to {before.current('kek').id}, in {redis.url}.\n"
        assert said("retire", kek, *there) == 0
        assert f"{redis.url} holds nothing under it" in said.out


@pytest.mark.parametrize("kind", ["transport", "signing"])
def test_the_other_kinds_overlap(kind: str, said: Said) -> None:
    said("init")
    before = load(PATH)
    assert said("rotate", kind) == 0
    after = load(PATH)
    assert [(key.kind, key.current) for key in after.keys if key.kind == kind] == [(kind, False), (kind, True)]
    assert after.current("kek") == before.current("kek")


def test_the_key_of_digests_and_unknown_kinds_are_not_rotated(said: Said) -> None:
    said("init")
    before = load(PATH)
    for kind, why in (
        ("digest", "the digest key is not rotated: inputs and requests are known again by it"),
        ("other", "there is no kind of key 'other'"),
    ):
        assert said("rotate", kind) == 2
        assert said.err.startswith(f"error: {why}")
        assert said.err.endswith(". Keys that are rotated: kek, transport, signing\n")
        assert said.err.count("\n") == 1
    assert load(PATH) == before


def test_a_damaged_code_is_said_and_the_rest_is_moved(said: Said) -> None:
    said("init")
    put(Vault(load(PATH)).seal(CODE, MSISDN, 1))
    put(SealedCode("kek-gone", b"s" * 16, b"b" * 72), "79101234568")
    assert said("rotate", "kek") == 1
    assert "1 code moved" in said.out
    assert said.err == "error: no key here opens 1 code; their owners have to order new ones\n"


def test_a_server_that_goes_on_with_the_old_key_is_noticed(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    said("init")
    old = Vault(load(PATH))
    put(old.seal(CODE, MSISDN, 1))
    walk = rewrap
    walks = 0

    async def with_an_old_server(*arguments: object) -> object:
        nonlocal walks
        walks += 1
        done = await walk(*arguments)  # type: ignore[arg-type]
        store = arguments[0]
        assert isinstance(store, SqliteStore)
        record, version = await store.load(MSISDN)
        again = Access(sealed=old.seal(CODE, MSISDN, 1), generation=1, issued_at=NOW)
        assert await store.commit(Change(version, Subscriber(record.msisdn, access=again)))
        return done

    monkeypatch.setattr(keys_command, "rewrap", with_an_old_server)
    assert said("rotate", "kek") == 1
    assert walks == keys_command.MAX_PASSES
    assert "codes under older keys keep coming" in said.err
