"""`ussd-server dead-letters`: what was given up is listed without codes, tried again or thrown away with a reason."""

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.signalled import committed, signalled
from tests.ussd_server.cli.command_line import Said
from ussd_server.cli.common import now
from ussd_server.stores.base import Change, OutboxEntry, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access
from ussd_server.subscribers.record import Subscriber

ANNA, BORIS = "79101234567", "79101234568"
HOUR = 3_600_000
STORE = ("--store", "sqlite:///s.db")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys, first=("dead-letters",), last=STORE)


def at_the_store(work: Any) -> Any:
    async def within() -> Any:
        store = SqliteStore(Path("s.db"))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def give_up(msisdn: str, *entries: OutboxEntry, ago: int = 0) -> None:
    at = now() - ago

    async def work(store: SqliteStore) -> None:
        record, version = await store.load(msisdn)
        assert await store.commit(Change(version, record, outbox=entries))
        for _ in entries:
            (claimed,) = await store.claim(2**50, 1, 1)
            await store.bury(claimed, at, "the SMSC refused it: 0x0b")

    at_the_store(work)


def sms(id: str, **data: str) -> OutboxEntry:
    return OutboxEntry(id, "sms", 1, {"from": "111", "account": "", **data}, 5)


@pytest.fixture
def three() -> None:
    give_up(ANNA, sms("a-1", text="Готово"), sms("a-2", sealed="c2VhbGVk"), ago=3 * HOUR)
    give_up(BORIS, OutboxEntry("b-1", "command", 1, {"arguments": {"quote": 1}}))


def due() -> list[tuple[str, int, int]]:
    """Return what waits in the outbox: id, how often it was tried in its first life, when it expires."""
    claimed = at_the_store(lambda store: store.claim(now(), 100, 1))
    return sorted((each.entry.id, each.entry.tried, each.entry.expires) for each in claimed)


def notes(msisdn: str, kind: str) -> list[Any]:
    return [each.data for each in at_the_store(lambda store: store.journal(msisdn, kind))]


@pytest.mark.usefixtures("three")
def test_they_are_listed_with_the_latest_first_and_masked_numbers(said: Said) -> None:
    assert said("list") == 0
    assert [line.split()[2:] for line in said.lines] == [
        [masked, id, kind, "1x", "the", "SMSC", "refused", "it:", "0x0b"]
        for masked, id, kind in (
            ("7910***4568", "b-1", "command"),
            ("7910***4567", "a-1", "sms"),
            ("7910***4567", "a-2", "sms"),
        )
    ]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--kind", "sms"), ["a-1", "a-2"]),
        (("--last", "2h"), ["b-1"]),
        (("--subscriber", "8 910 123-45-67"), ["a-1", "a-2"]),
        (("--subscriber", ANNA, "--kind", "command"), []),
        (("--limit", "1"), ["b-1"]),
    ],
)
def test_options_choose_which(options: tuple[str, ...], ids: list[str], said: Said) -> None:
    assert said("list", *options, "--json") == 0
    assert [json.loads(line)["id"] for line in said.lines] == ids


@pytest.mark.usefixtures("three")
def test_numbers_are_shown_to_who_asks_or_knows_them(said: Said) -> None:
    for shown in (("list", "--numbers"), ("list", "--subscriber", ANNA), ("show", "a-1", "--numbers")):
        assert said(*shown) == 0
        assert ANNA in said.out


@pytest.mark.usefixtures("three")
def test_more_than_are_listed_is_told_and_none_too(said: Said) -> None:
    assert said("list", "--limit", "2") == 0
    assert said.lines[2:] == ["There are more than these 2; --limit says how many are listed."]
    assert said("list", "--kind", "push") == 0
    assert said.out == "Nothing was given up.\n"


def test_what_is_damaged_is_listed_thrown_away_and_never_shown(said: Said) -> None:
    give_up(ANNA, sms("a-1", damaged="c2VhbGVk"))
    for words in (("show", "a-1"), ("list", "--json"), ("list",)):
        assert said(*words) == 0
        assert "c2VhbGVk" not in said.out
        assert "a-1" in said.out
    assert said("retry", "a-1", "--reason", "x") == 1
    assert said.out == "1 left as it was: its data is damaged.\n"
    assert said("discard", "a-1", "--reason", "nobody can read it") == 0
    assert at_the_store(lambda store: store.dead_letters(ANNA)) == []


@pytest.mark.usefixtures("three")
def test_a_sealed_text_is_never_shown(said: Said) -> None:
    for words in (("show", "a-2"), ("show", "a-2", "--numbers"), ("list", "--json"), ("list",)):
        assert said(*words) == 0
        assert "c2VhbGVk" not in said.out
    assert said("show", "a-1") == 0
    facts = dict(line.split(maxsplit=1) for line in said.lines if len(line.split()) > 1)
    assert facts["msisdn"] == "7910***4567"
    assert "Готово" in facts["data"]


@pytest.mark.usefixtures("three")
def test_one_is_tried_again_with_a_new_time_and_the_reason_is_kept(said: Said) -> None:
    before = now()
    assert said("retry", "a-1", "--reason", " the SMSC is back ", "--valid", "2h") == 0
    assert said.out == "1 will be tried again.\n"
    ((id, tried, expires),) = due()
    assert (id, tried) == ("a-1", 1)
    assert 0 <= expires - before - 2 * HOUR < 60_000
    assert notes(ANNA, "taken back") == [
        {"id": "a-1", "kind": "sms", "by": "support desk", "reason": "the SMSC is back"}
    ]
    assert said("list", "--json") == 0
    assert [json.loads(line)["id"] for line in said.lines] == ["b-1", "a-2"]


@pytest.mark.usefixtures("three")
def test_all_that_options_choose_are_tried_again_in_their_order(said: Said) -> None:
    assert said("retry", "--all", "--kind", "sms", "--reason", "back") == 0
    assert said.out == "2 will be tried again.\n"
    assert [entry[0] for entry in due()] == ["a-1"]  # the second waits behind it
    whole = at_the_store(lambda store: store.dump(ANNA))
    assert [each.entry.id for each in whole.outbox] == ["a-1", "a-2"]


@pytest.mark.usefixtures("three")
def test_a_code_that_is_not_the_newest_stays_given_up(said: Said) -> None:
    async def issue(store: SqliteStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, replace(record, access=Access(issued_at=now()))))

    at_the_store(issue)
    assert said("retry", "a-1", "a-2", "never-was", "--reason", "back") == 1
    assert said.lines == [
        "1 will be tried again.",
        "1 left as it was: another access code was issued since.",
        "never-was: no dead letter has this id.",
    ]
    assert [entry[0] for entry in due()] == ["a-1"]


@pytest.mark.usefixtures("three")
def test_what_is_thrown_away_is_in_the_journal(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("typer.confirm", lambda text: bool(asked.append(text)))
    assert said("discard", "--all", "--reason", "too late") == 1
    assert said.err == "error: nothing was thrown away\n"
    assert said("discard", "--all", "--kind", "command", "--reason", "too late") == 1
    assert asked == ["Throw all 3 away?", "Throw the 1 that this chooses away?"]
    assert said("discard", "--all", "--kind", "push", "--reason", "too late") == 0
    assert said.out == "Nothing was given up that this chooses.\n"
    assert len(asked) == 2
    assert said("discard", "--all", "--kind", "sms", "--reason", "too late", "--yes") == 0
    assert said.out == "2 thrown away.\n"
    assert [each["id"] for each in notes(ANNA, "discarded")] == ["a-2", "a-1"]
    assert said("discard", "b-1", "--reason", "done by hand") == 0
    assert said("list") == 0
    assert said.out == "Nothing was given up.\n"
    assert said("discard", "--all", "--reason", "too late") == 0
    assert said.out == "Nothing was given up.\n"
    assert due() == []


def test_many_are_tried_again(said: Said) -> None:
    async def work(store: SqliteStore) -> None:
        numbers = [f"7910{number:07}" for number in range(200)]
        for msisdn in numbers:
            record, version = await store.load(msisdn)
            assert await store.commit(Change(version, record, outbox=[sms(f"s-{msisdn}", text="x")]))
        await asyncio.gather(*(store.bury(each, now(), "refused") for each in await store.claim(now(), 1000, 1)))

    at_the_store(work)
    assert said("retry", "--all", "--reason", "back") == 0
    assert said.out == "200 will be tried again.\n"
    assert len(at_the_store(lambda store: store.claim(now(), 1000, 1))) == 200
    assert said("retry", "--all", "--reason", "back") == 0
    assert said.out == "Nothing was given up.\n"


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("retry", "--reason", "x"), "say which: ids, as dead-letters list prints them, or --all"),
        (("retry", "a-1", "--all", "--reason", "x"), "say which: ids"),
        (("retry", "a-1"), "Missing option '--reason'"),
        (("retry", "a-1", "--reason", " "), "--reason: say why; it is kept in the journal"),
        (("discard", "a-1", "--reason", " "), "--reason: say why; it is kept in the journal"),
        (("list", "--kind", "smss"), "--kind smss: there are code, code_order, command"),
        (("list", "--last", "soon"), "--last soon: a time is written as 30 s, 10 min, 2 h or 1 d"),
        (("retry", "a-1", "--valid", "-1", "--reason", "x"), "--valid -1: a time is written as"),
        (("list", "--subscriber", "6262"), "not a subscriber's number"),
    ],
)
def test_wrong_usage_is_one_line_and_changes_nothing(words: tuple[str, ...], text: str, said: Said) -> None:
    assert said(*words) == 2
    assert text in said.err
    assert said.err.count("\n") == 1
    assert at_the_store(lambda store: store.count_dead_letters()) == {"command": 1, "sms": 2}


def test_an_unknown_id_is_told(said: Said) -> None:
    at_the_store(lambda store: store.ping())
    assert said("show", "never-was") == 1
    assert said.err == "error: never-was: no dead letter has this id\n"


@pytest.mark.usefixtures("three")
def test_a_store_that_goes_away_meanwhile_is_told_in_one_line(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(store: SqliteStore, change: Change) -> bool:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(SqliteStore, "commit", away)
    assert said("retry", "--all", "--reason", "again") == 1
    assert said.err == "error: the disk is full\n"


MANY = 1000


@pytest.mark.parametrize(
    ("words", "done"),
    [(("retry",), "will be tried again"), (("discard", "--yes"), "thrown away")],
    ids=["retry", "discard"],
)
def test_who_interrupts_it_reads_how_many_are_done_and_that_it_goes_on(
    words: tuple[str, ...], done: str, said: Said
) -> None:
    async def work(store: SqliteStore) -> None:
        changes = [
            Change(0, Subscriber(str(79100000000 + number)), outbox=[sms(f"a-{number}", text="x")])
            for number in range(MANY)
        ]
        assert all(await asyncio.gather(*map(store.commit, changes)))
        claimed = await store.claim(2**50, MANY, 1)
        await asyncio.gather(*(store.bury(each, now(), "refused") for each in claimed))

    at_the_store(work)
    command = ("dead-letters", *words, "--all", "--reason", "test", *STORE)
    code, out, err = signalled(command, signal.SIGINT, committed(100))
    assert (code, out) == (130, "")
    told = re.fullmatch(rf"interrupted: (\d+) {done}; the same command goes on with the others\n", err)
    assert told, err
    assert 100 <= int(told[1]) < MANY
    assert said(*words, "--all", "--reason", "test") == 0
    rest = re.fullmatch(rf"(\d+) {done}\.\n", said.out)
    assert rest, said.out
    assert MANY - 64 <= int(told[1]) + int(rest[1]) <= MANY
    assert said("list") == 0
    assert said.out == "Nothing was given up.\n"
