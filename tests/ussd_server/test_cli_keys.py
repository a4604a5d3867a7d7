"""`ussd-server keys`: making, listing, rotating and retiring keys, and what keeps a key from being retired."""

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.redis_servers import running
from tests.ussd_server.command_line import Said, log_octets, without_settings
from ussd_server import store_note, store_url
from ussd_server.cli import keys as keys_command
from ussd_server.cli import subscriber as subscriber_command
from ussd_server.cli.keys import Rotated
from ussd_server.cli.program import outcome
from ussd_server.secrecy.agreement import lacking, note
from ussd_server.secrecy.keys import Keyring, load, save
from ussd_server.secrecy.rewrap import rewrap
from ussd_server.secrecy.sealed import holdings
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault, _place
from ussd_server.stores.base import Change, DeadLetter, Everything, KeptAnswer, OutboxEntry, Standing, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber

NOW = 1_763_881_200_000
DAY_MS = 24 * 3_600_000
MSISDN = "79101234567"
CODE = Secret("90417263")
PATH = Path("var/keys.json")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keys_command, "TAKE_UP_S", 0.0)  # no server runs here


class Clock:
    """The time of the commands, which a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keys_command, "now", clock)
    return clock


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys, first=("keys",))


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


# Making and listing -----------------------------------------------------------------------------------------------


def test_keys_of_every_kind_are_made_once_and_only_named(said: Said) -> None:
    assert said("list") == 2
    assert said.err == "error: there are no keys in var; make them with: ussd-server keys init --data var\n"
    assert said("init") == 0
    assert "Made the keys in var/keys.json" in said.out
    stored = PATH.read_text(encoding="utf-8")
    assert said("init") == 0
    assert "Nothing was changed" in said.out
    assert said("list") == 0
    assert said.lines[-1].startswith("no code was counted: there is no store sqlite:///var/ussd-server.db, ")
    kept = json.loads(stored)["keys"]
    assert [key["kind"] for key in kept] == ["kek", "transport", "signing", "digest"]
    for key in kept:
        assert key["id"] in said.out
        assert key["secret"] not in said.out
    assert PATH.read_text(encoding="utf-8") == stored


def test_a_file_of_an_older_version_gets_what_it_lacks_and_says_so(said: Said) -> None:
    PATH.parent.mkdir(mode=0o700)
    save(PATH, Keyring().rotate("kek", NOW))
    kek = load(PATH).current("kek")
    assert said("init") == 0
    assert said.out.startswith("Added keys of the kinds transport, signing, digest to var/keys.json.")
    assert load(PATH).current("kek") == kek


def test_the_list_tells_age_use_and_codes(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH).current("kek")
    put(Vault(load(PATH)).seal(CODE, MSISDN, 1))
    clock.at += 10 * DAY_MS
    assert listed(said, old.id)[2:] == ["2025-11-23", "07:00:00Z", "10", "days", "in", "use", "?", "?"]
    assert said.lines[-1] == "no code was counted, as there is one kek: ussd-server keys list --numbers counts"
    assert said("list", "--numbers") == 0
    assert next(line for line in said.lines if line.startswith(old.id)).split()[-2:] == ["1", "0"]
    ring = load(PATH).rotate("kek", clock.at)
    save(PATH, ring)
    clock.at += 3 * 3_600_000
    assert listed(said, old.id)[-4:] == ["10", "days", "1", "0"]
    assert listed(said, ring.current("kek").id)[-6:] == ["3", "hours", "in", "use", "0", "0"]
    put(SealedCode("kek-gone", b"s" * 16, b"b" * 72), "79101234568")
    said("list")
    assert said.out.endswith("no key here opens 1 code; owners of codes have to order new ones\n")


def test_keys_that_others_may_read_are_refused_with_the_mend(said: Said) -> None:
    said("init")
    PATH.chmod(0o644)
    for command in (("list",), ("rotate",), ("rewrap",), ("retire", "a")):
        assert said(*command) == 1
        assert "chmod 600 var/keys.json" in said.err
        assert said.err.count("\n") == 1


def test_a_data_directory_that_cannot_be_made_is_one_line(said: Said) -> None:
    assert said("init", "--data", "/proc/var") == 1
    assert said.err == "error: the directory /proc/var cannot be made: No such file or directory\n"


# Rotating ---------------------------------------------------------------------------------------------------------


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


MANY = 3000
"""Subscribers with a code; moving them takes most of a second, in which an interruption finds its place."""


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


def interrupted(number: signal.Signals, *words: str) -> tuple[int, str, str]:
    """Give a command, and end it when it has written to the store; return its exit code, output and errors."""
    with subprocess.Popen(
        [sys.executable, "-m", "ussd_server", "keys", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while child.poll() is None and log_octets("var/ussd-server.db") < 100_000:
            pass
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_interrupts_a_rotation_reads_how_far_it_came_and_what_goes_on(
    number: signal.Signals, status: int, said: Said
) -> None:
    said("init")
    fill(load(PATH))
    old = load(PATH).current("kek").id
    ended, out, err = interrupted(number, "rotate", "kek")
    new = load(PATH).current("kek").id
    assert (ended, out.splitlines()) == (
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
    assert interrupted(signal.SIGKILL, "rotate", "kek")[0] == -signal.SIGKILL
    new = load(PATH).current("kek").id
    assert new != old
    first = under()
    assert 0 < first[new] < MANY
    assert interrupted(signal.SIGKILL, "rewrap")[0] == -signal.SIGKILL
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


# Retiring ---------------------------------------------------------------------------------------------------------


def test_a_key_is_retired_when_nothing_needs_it(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH)
    kek = old.current("kek").id
    put(Vault(old).seal(CODE, MSISDN, 1))
    save(PATH, old.rotate("kek", NOW))  # as an interrupted rotation leaves it

    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} is still needed: it seals 1 code, to be moved with: ussd-server keys rewrap; "
        "or lose that with --force\n"
    )
    assert said("rewrap") == 0
    clock.at = NOW + 25 * 3_600_000 - 1
    assert said("retire", kek) == 1
    assert "replaced less than 25 hours ago, wait until 2025-11-24 08:00:00Z" in said.err
    clock.at += 1
    assert said("retire", kek) == 0
    assert load(PATH).get(kek) is None
    assert Vault(load(PATH)).check(code(), CODE, MSISDN, 1).right


def test_a_kek_stays_while_records_cannot_be_read_and_these_are_found(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH)
    kek = old.current("kek").id
    put(Vault(old).seal(CODE, MSISDN, 1))
    numbers = [f"7910123900{last}" for last in range(7)]
    damage(*numbers)

    assert said("rotate", "kek") == 1
    assert "1 code moved" in said.out
    records = (
        "7 subscribers whose records are damaged: 7910***9000, 7910***9001, 7910***9002, 7910***9003, 7910***9004 "
        "and 2 more (in full: ussd-server keys list --numbers); go back to a copy of the store, or give them up with: "
        "ussd-server subscriber forget"
    )
    assert said.err == f"error: nothing was moved of {records}\n"
    clock.at = NOW + 2 * DAY_MS
    assert listed(said, kek)[-2:] == ["0", "0"]
    assert said.lines[-1] == f"nothing was counted of {records}"
    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} may still be needed: nobody knows what it seals of {records}; or lose that with --force\n"
    )

    assert said("list", "--numbers") == 0
    assert f"damaged: {', '.join(numbers)}; " in said.lines[-1]
    for msisdn in numbers[1:]:
        assert outcome(["subscriber", "forget", msisdn, "--yes"]) == 0
    assert said("retire", kek) == 1
    assert "of 1 subscriber whose record is damaged: 7910***9000 (in full" in said.err
    assert outcome(["subscriber", "forget", numbers[0], "--yes"]) == 0
    assert said("retire", kek) == 0


def test_with_one_kek_it_is_counted_where_numbers_are_asked_for(said: Said) -> None:
    said("init")
    damage("79101239000")
    assert said("list") == 0
    assert "damaged" not in said.out
    assert said("list", "--numbers") == 0
    assert "1 subscriber whose record is damaged: 79101239000; " in said.out


def test_a_kek_that_was_made_long_before_it_was_in_use_still_seals_what_no_rewrap_moves(
    said: Said, clock: Clock
) -> None:
    """With several data directories the key is made elsewhere, and may lie there for days before servers have it."""
    said("init")
    old = load(PATH)
    kek, vault = old.current("kek").id, Vault(old)
    waits = OutboxEntry("w", "sms", NOW, {"sealed": vault.seal_text(CODE, MSISDN, "w")}, expires=NOW + 7 * DAY_MS)
    given_up = DeadLetter(
        MSISDN, "g", "sms", {"sealed": vault.seal_text(CODE, MSISDN, "g")}, NOW, NOW + 1, 3, "it was tried long enough"
    )
    record = Subscriber(MSISDN, letters=vault.seal_letters(b"parts", MSISDN))
    answer = KeptAnswer("t", "k", b"f", vault.seal_answer(b"{}", "t", "k"), NOW + DAY_MS)
    kept(Everything(record, outbox=[Standing(waits, NOW, 0)], dead_letters=[given_up], answers=[answer]))
    save(PATH, old.rotate("kek", NOW - 2 * DAY_MS))
    assert listed(said, kek)[-2:] == ["0", "4"]
    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} is still needed: it seals the parts of 1 SMS that is not whole, kept for an hour; 1 SMS with a "
        "code in the outbox, sent or given up by 2025-11-30 07:00:00Z; 1 SMS with a code, given up, to be tried again "
        "or thrown away: ussd-server dead-letters list; 1 answer kept for terminals until 2025-11-24 07:00:00Z; or "
        "lose that with --force\n"
    )
    assert load(PATH).get(kek) is not None
    # Each alone is enough, and so is none.
    for alone in (
        Everything(record),
        Everything(Subscriber(MSISDN), outbox=[Standing(waits, NOW, 0)]),
        Everything(Subscriber(MSISDN), dead_letters=[given_up]),
        Everything(Subscriber(MSISDN), answers=[answer]),
    ):
        kept(alone)
        assert said("retire", kek) == 1
    kept(Everything(Subscriber(MSISDN)))
    assert said("retire", kek) == 0
    assert "holds nothing under it" in said.out


@pytest.mark.parametrize("kind", ["kek", "transport", "signing"])
def test_a_key_is_kept_for_as_long_after_the_servers_had_the_next_one_however_old_that_is(
    kind: Rotated, said: Said, clock: Clock
) -> None:
    said("init")
    old = load(PATH)
    id = old.current(kind).id
    noted(note(old))  # as the start of a server does
    save(PATH, old.rotate(kind, clock.at))  # copied into place two days later
    clock.at += 2 * DAY_MS
    for _ in range(2):
        assert said("retire", id) == 1
        assert "replaced less than 25 hours ago, wait until 2025-11-26 08:00:00Z" in said.err
        clock.at += 25 * 3_600_000 - 1
    clock.at = NOW + 2 * DAY_MS + 25 * 3_600_000
    assert said("retire", id) == 0


@pytest.mark.parametrize("kind", ["kek", "transport", "signing"])
def test_a_key_that_was_just_replaced_is_retired_by_force_alone(kind: str, said: Said, clock: Clock) -> None:
    said("init")
    old = next(key.id for key in load(PATH).keys if key.kind == kind)
    assert said("retire", old) == 1
    assert said.err == f"error: {old} is in use; rotate first: ussd-server keys rotate {kind}\n"
    assert said("retire", old, "--force") == 1
    noted("")
    said("rotate", kind)
    clock.at += 3_600_000
    assert said("retire", old) == 1
    assert said("retire", old, "--force") == 0
    assert load(PATH).get(old) is None


def test_an_unknown_key_is_said(said: Said) -> None:
    said("init")
    assert said("retire", "kek-none") == 1
    assert said.err == "error: there is no key kek-none; see: ussd-server keys list\n"


# The store's servers have the same keys ---------------------------------------------------------------------------


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


def test_a_rotation_and_a_retirement_are_known_to_the_store(said: Said, clock: Clock) -> None:
    said("init")
    before = load(PATH)
    noted(note(before))
    assert said("rotate", "kek") == 0
    assert noted() == note(load(PATH), note(before), clock.at)
    assert said("rotate", "transport") == 0  # a server would note it; none runs here
    assert said("retire", before.current("transport").id, "--force") == 0
    assert lacking(load(PATH), noted()) == []


def test_keys_of_other_servers_are_neither_used_nor_retired_nor_rotated(said: Said) -> None:
    said("init")
    others = Keyring().completed(NOW)
    save(PATH, load(PATH).rotate("kek", NOW))
    before, old = load(PATH), load(PATH).of("kek")[0].id
    noted(note(others))
    for words in (
        ("rotate", "kek"),
        ("rotate", "kek", "--no-rewrap"),
        ("rotate", "transport"),
        ("rotate", "signing"),
        ("rewrap",),
        ("retire", old, "--force"),
    ):
        assert said(*words) == 1
        assert "its servers have other keys than var/keys.json" in said.err
        assert said.err.count("\n") == 1
    assert load(PATH) == before
    assert noted() == note(others)


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


@pytest.mark.parametrize("words", [("list",), ("rotate",), ("rewrap",), ("retire", "kek-1"), ("adopt",)])
def test_where_the_key_file_is_gone_nobody_is_told_to_make_new_keys(words: tuple[str, ...], said: Said) -> None:
    lost = lost_keys()
    assert said(*words) == 2
    assert said.err == (
        f"error: there are no keys in var, and the servers of sqlite:///var/ussd-server.db have {ids_of(lost)}: bring "
        "back a copy of keys.json, from a backup or another server's data directory. New keys would open nothing that "
        "is there\n"
    )
    assert not PATH.exists()


def test_where_the_key_file_is_gone_none_is_made_but_by_force(said: Said) -> None:
    lost = lost_keys()
    assert said("init") == 1
    assert said.err.startswith(
        f"error: no keys were made: the servers of sqlite:///var/ussd-server.db have {ids_of(lost)}, and new ones "
        "would open nothing that is there. Bring back a copy of keys.json, "
    )
    assert not PATH.exists()
    # An older copy lacks a kind that they have: it is not completed with a key of its own.
    save(PATH, Keyring(lost.of("kek")))
    before = PATH.read_bytes()
    assert said("init") == 1
    assert lost.current("digest").id in said.err
    assert PATH.read_bytes() == before
    PATH.unlink()
    assert said("init", "--force") == 0
    assert "Made the keys in var/keys.json" in said.out
    assert said("init") == 0  # nothing would be made
    assert "Nothing was changed" in said.out


def test_no_keys_are_made_where_nobody_knows_whether_there_were_some(said: Said) -> None:
    away = ("--store", "redis://127.0.0.1:1/0")
    assert said("init", *away) == 1
    assert "it cannot be told whether the servers of redis://127.0.0.1:1/0 have some: " in said.err
    assert said("list", *away) == 2
    assert "whether its servers have had some cannot be told: " in said.err
    PATH.parent.mkdir(mode=0o700)
    store_note.note(Path("var"), store_url.parse("redis://127.0.0.1:1/0"))
    for command in ("init", "list"):
        assert said(command) == 2
        assert "add --store 'redis://127.0.0.1:1/0'" in said.err
    assert not PATH.exists()
    assert said("init", "--force", *away) == 0
    assert said("list", *away) == 0
    assert said.lines[-1].startswith("the keys were not compared with those of the store's servers: ")


def test_the_list_shows_other_keys_than_the_servers_as_what_they_are(said: Said) -> None:
    lost = lost_keys()
    said("init", "--force")
    assert listed(said, load(PATH).current("kek").id)[-4:] == ["in", "use", "0", "0"]
    assert said.lines[-3:] == [
        "codes are those in sqlite:///var/ussd-server.db",
        (
            f"its servers have {ids_of(lost)}, which are not here: put var/keys.json aside, for they never had its "
            f"{', '.join(key.id for key in load(PATH).keys)}, and codes may be under that; take the keys.json that has "
            "the others, from a backup or another server's data directory, add what they never had with "
            '"current": false, and put it into var and every other data directory'
        ),
        "no key here opens 3 codes",
    ]
    save(PATH, Keyring(lost.of("kek")))
    assert said("list") == 0
    assert said.lines[-1].endswith(
        ": bring back the keys.json that has them, from a backup or another server's data directory, to var"
    )


def test_a_store_goes_with_new_keys_where_the_old_are_lost_once_the_loss_is_told(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lost_keys()
    said("init", "--force")
    answers = iter([False, True])
    monkeypatch.setattr(keys_command, "confirmed", lambda question: next(answers))
    told = [
        f"The servers of sqlite:///var/ussd-server.db have {ids_of(lost)}, which are not here.",
        "No key here opens 3 codes.",
        "Owners of codes would have to order new ones, and terminals would need new files.",
        "Where a copy of their keys.json is left, bring that back instead: then nothing is lost.",
    ]
    assert said("adopt") == 1
    assert (said.lines, said.err) == (told, "error: nothing was changed\n")
    assert noted() == note(lost)
    assert said("adopt") == 0
    assert said.lines == [
        *told,
        f"sqlite:///var/ussd-server.db goes with the keys in var/keys.json. What only {ids_of(lost)} opened is lost.",
    ]
    assert noted() == note(load(PATH))
    assert said("adopt") == 0  # and asks nothing
    assert said.out == "sqlite:///var/ussd-server.db goes with the keys in var/keys.json.\n"


def test_a_loss_is_told_whole_and_given_up_without_a_question_where_that_is_said(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("init")
    lost = Keyring().completed(NOW)
    vault = Vault(lost)
    waits = OutboxEntry("w", "sms", NOW, {"sealed": vault.seal_text(CODE, MSISDN, "w")}, expires=NOW + DAY_MS)
    answers = [KeptAnswer("t", key, b"f", vault.seal_answer(b"{}", "t", key), NOW + DAY_MS) for key in "kl"]
    kept(Everything(Subscriber(MSISDN), outbox=[Standing(waits, NOW, 0)], answers=answers))
    damage("79101239000")
    noted(note(lost))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert said("adopt") == 2
    assert said.err.endswith("nobody has answered, so nothing was done; --yes does it without asking\n")
    assert noted() == note(lost)
    assert said("adopt", "--yes") == 0
    assert said.lines[1] == "No key here opens 1 SMS with a code in the outbox, 2 answers kept for terminals."
    assert said.lines[2].startswith("Nothing was counted of 1 subscriber whose record is damaged: 7910***9000 ")


def test_a_code_that_no_key_opens_is_told_as_that(
    said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the keys in the data directory, or where it has none, as at a support desk, of those of the servers."""
    lost = lost_keys()
    monkeypatch.setattr(subscriber_command, "now", lambda: NOW)

    def shown() -> str:
        capsys.readouterr()
        assert outcome(("subscriber", "show", MSISDN)) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("code"))[4:].strip()

    valid, kek = "valid, issued 2025-11-23 07:00:00Z", lost.current("kek").id
    assert shown() == valid
    save(PATH, lost.rotate("kek", NOW))
    assert shown() == valid
    PATH.unlink()
    said("init", "--force")
    assert (
        shown()
        == f"{valid}, but var lacks {kek}, which the store's servers have: put their keys.json there, and keep its own"
    )
    said("adopt", "--yes")
    assert shown() == f"{valid}, but no key in var opens it, for it is under {kek}"
    PATH.unlink()
    assert shown() == f"{valid}, but no key of the store's servers opens it, for it is under {kek}"
    noted("")
    assert shown() == valid  # nobody knows


def locked_under(kid: str) -> None:
    access = Access(sealed=SealedCode(kid, b"s" * 16, b"b" * 72), issued_at=NOW, locked_until=4_000_000_000_000)
    kept(Everything(Subscriber(MSISDN, access=access)))


def test_who_is_let_in_again_is_told_where_the_old_code_does_not_work(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    said("init")
    locked_under("kek-gone")
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert capsys.readouterr().out == (
        f"{MSISDN}: access is open, but a new code is to be ordered: no key in var opens it, for it is under "
        "kek-gone.\n"
    )


def test_who_is_let_in_again_orders_no_new_code_where_the_keys_here_only_lag(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    said("init")
    newer = load(PATH).rotate("kek", NOW)
    noted(note(newer))
    kek = newer.current("kek").id
    locked_under(kek)
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert capsys.readouterr().out == (
        f"{MSISDN}: access is open, the old code works again at servers that have its key: var lacks {kek}, which the "
        "store's servers have: put their keys.json there, and keep its own.\n"
    )


def test_an_unlock_that_is_done_does_not_fail_for_what_is_said_of_it(
    said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said("init")
    noted("{")
    locked_under("kek-gone")
    committed: list[Change] = []
    commit, load_record, noted_keys = SqliteStore.commit, SqliteStore.load, SqliteStore.noted_keys

    async def committing(store: SqliteStore, change: Change) -> bool:
        committed.append(change)
        return await commit(store, change)

    def until_committed(read: Any) -> Any:
        async def reading(store: SqliteStore, *what: Any) -> Any:
            if committed:
                raise StoreUnavailable("away")
            return await read(store, *what)

        return reading

    monkeypatch.setattr(SqliteStore, "commit", committing)
    monkeypatch.setattr(SqliteStore, "load", until_committed(load_record))
    monkeypatch.setattr(SqliteStore, "noted_keys", until_committed(noted_keys))
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert "access is open, but a new code is to be ordered" in capsys.readouterr().out
    assert len(committed) == 1


def test_what_is_noted_while_a_person_thinks_is_not_given_up(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    lost_keys()
    said("init", "--force")
    newer = note(Keyring().completed(NOW))

    def thinks(question: str) -> bool:
        noted(newer)
        return True

    monkeypatch.setattr(keys_command, "confirmed", thinks)
    assert said("adopt") == 1
    assert "other keys were noted in sqlite:///var/ussd-server.db meanwhile, and nothing was changed" in said.err
    assert noted() == newer


def test_a_store_with_servers_keeps_their_keys(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_use(store: SqliteStore) -> str:
        return "process 7"

    said("init")
    noted("")
    monkeypatch.setattr(SqliteStore, "in_use", in_use)
    assert said("adopt") == 1
    assert "is in use by process 7, which has its keys in memory: find a copy of their keys.json before" in said.err


def test_keys_are_adopted_with_a_warning_where_nobody_knows_who_uses_the_store(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unseen(store: SqliteStore) -> None:
        return None

    lost_keys()
    said("init", "--force")
    monkeypatch.setattr(SqliteStore, "in_use", unseen)
    assert said("adopt", "--yes") == 0
    assert said.err.startswith("warning: it cannot be told who uses sqlite:///var/ussd-server.db: ")
    assert said.err.count("\n") == 1
    assert noted() == note(load(PATH))
