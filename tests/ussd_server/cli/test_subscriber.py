"""`ussd-server subscriber`: the support desk looks at one number, opens its access, forgets it."""

import asyncio
import io
import json
import re
from pathlib import Path

import pytest
import typer
from msgspec.structs import replace

from tests.ussd_server.cli.command_line import Said
from ussd_server.cli.journal import readable
from ussd_server.stores.base import Change, JournalEntry
from ussd_server.stores.sqlite.store import SqliteStore

MSISDN = "79101234567"


@pytest.fixture
def locked() -> str:
    """A store with one subscriber whose access is closed; return its URL."""

    async def prepare() -> None:
        store = SqliteStore(Path("s.db"))
        record, number = await store.load(MSISDN)
        access = replace(record.access, wrong=3, locked_until=4_000_000_000_000)
        locked = replace(record, activated_at=1_700_000_000_000, access=access)
        assert await store.commit(Change(number, locked, journal=(JournalEntry(1_700_000_000_000, "activated"),)))
        await store.close()

    asyncio.run(prepare())
    return "sqlite:///s.db"


def test_show_says_since_when_and_why_access_is_closed(locked: str, said: Said) -> None:
    assert said("subscriber", "show", "8 910 123-45-67", "--store", locked) == 0
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in said.out.splitlines())
    assert facts["number"] == MSISDN
    assert facts["service"] == "active since 2023-11-14 22:13:20Z"
    assert facts["access"] == "closed until 2096-10-02 07:06:40Z after 3 wrong codes"
    assert facts["code"] == "none"


def test_unlock_opens_and_keeps_the_reason(locked: str, said: Said) -> None:
    assert said("subscriber", "unlock", MSISDN, "--reason", "showed a passport", "--store", locked) == 0
    assert said.out == f"{MSISDN}: access is open, the old code works again.\n"
    said("subscriber", "show", MSISDN, "--store", locked)
    assert "closed" not in said.out
    assert said("subscriber", "journal", MSISDN, "--store", locked) == 0
    newest, oldest = said.out.splitlines()
    assert newest.endswith("  unlocked   by: support desk; reason: showed a passport")
    assert oldest == "2023-11-14 22:13:20Z  activated"


QUOTE = {
    "id": "1.2",
    "change": "change_tariff",
    "offering": {"id": "red", "kind": "tariff", "number": "212", "name": {"ru": "Red", "en": "RED"}, "price": 9000},
    "price": 9000,
    "monthly": 15050,
    "starts": "2026-11-24",
    "balance_after": 26000,
    "currency": "RUB",
}
ORDERED = "change tariff: Red (212) from 2026-11-24, 90.00 RUB, then 150.50 RUB a month"


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("activated", {}, ""),
        ("code issued", {"generation": 2}, "generation: 2"),
        (
            "access locked",
            {"terminal": "hall", "until": 1_700_086_400_000},
            "terminal: hall; until: 2023-11-15 22:13:20Z",
        ),
        (
            "consent",
            {"order": "a-1", "read": "Red\n1. Да", "channel": "ussd"},
            "by ussd, having read: Red / 1. Да; order a-1",
        ),
        (
            "order placed",
            {"order": "a-1", "operation": "submit_order", "arguments": {"quote": QUOTE}},
            f"{ORDERED}; order a-1",
        ),
        (
            "order placed",
            {"order": "a-1", "arguments": {"quote": QUOTE}, "channel": "terminal", "terminal": "hall", "shown": "Red?"},
            f"{ORDERED}; agreed at the terminal hall; order a-1",
        ),
        (
            "order placed",
            {"order": "a-1", "arguments": {"quote": QUOTE}, "channel": "terminal", "terminal": "hall", "shown": ""},
            f"{ORDERED}; agreed at the terminal hall, as quoted; order a-1",
        ),
        (
            "order placed",
            {"order": "a-1", "arguments": {"quote": QUOTE}, "channel": "ussd", "terminal": "", "shown": "Red?"},
            f"{ORDERED}; agreed by ussd; order a-1",
        ),
        ("order placed", {"order": "a-1", "arguments": {"x": 1}}, 'arguments: {"x": 1}; order a-1'),
        ("order ended", {"order": "a-1", "outcome": "failed", "reason": "funds"}, "failed; reason: funds; order a-1"),
        ("given_up", {"id": "s-1", "kind": "sms", "reason": "expired"}, "not sent: expired; sms s-1"),
        ("taken back", {"id": "s-1", "kind": "sms", "by": "x", "reason": "r"}, "by: x; reason: r; sms s-1"),
        ("discarded", {"id": "c-1", "kind": "code", "by": "x", "reason": "r"}, "id: c-1; kind: code; by: x; reason: r"),
        ("given_up", {"id": "c-1", "kind": "code", "reason": "expired"}, "id: c-1; kind: code; reason: expired"),
        (
            "sms ended",
            {"outcome": "failed", "sent": 1_700_086_400_000, "error": "011", "parts": 2, "sms": "s-1"},
            "failed; sent: 2023-11-15 22:13:20Z; error: 011; parts: 2; sms s-1",
        ),
        ("sms ended", {"outcome": "delivered", "sms": "s-1"}, "delivered; sms s-1"),
        (
            "sms incomplete",
            {"number": "111", "parts": 1, "of": 2, "reason": "expired"},
            "number: 111; parts: 1; of: 2; reason: expired",
        ),
    ],
)  # fmt: skip
def test_an_entry_of_the_journal_is_one_readable_line(kind: str, data: dict[str, object], line: str) -> None:
    assert readable(JournalEntry(0, kind, data)) == line


def test_the_journal_is_given_whole_as_json(locked: str, said: Said) -> None:
    assert said("subscriber", "journal", MSISDN, "--json", "--store", locked) == 0
    assert json.loads(said.out) == {"at": 1_700_000_000_000, "kind": "activated", "data": {}}


def test_a_kind_that_is_not_there_is_answered_with_those_that_are(locked: str, said: Said) -> None:
    assert said("subscriber", "journal", MSISDN, "--kind", "unlock", "--store", locked) == 1
    assert said.err == f"error: {MSISDN}: the journal has no 'unlock'; it has activated\n"
    assert said("subscriber", "journal", "79100000009", "--store", locked) == 1
    assert said.err == "error: 79100000009: the journal has nothing of this subscriber\n"


def test_unlock_of_an_open_one_changes_nothing(locked: str, said: Said) -> None:
    said("subscriber", "unlock", MSISDN, "--reason", "x", "--store", locked)
    assert said("subscriber", "unlock", MSISDN, "--reason", "y", "--store", locked) == 0
    assert "Nothing was changed" in said.out
    said("subscriber", "journal", MSISDN, "--kind", "unlocked", "--store", locked)
    assert said.out.count("unlocked") == 1


def test_a_reason_is_a_must(locked: str, said: Said) -> None:
    assert said("subscriber", "unlock", MSISDN, "--reason", "  ", "--store", locked) == 2
    assert said.err.count("\n") == 1


def test_forget_asks_and_then_leaves_nothing(locked: str, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer, "confirm", lambda text: False)
    assert said("subscriber", "forget", MSISDN, "--store", locked) == 1
    assert said("subscriber", "show", MSISDN, "--store", locked) == 0
    assert said("subscriber", "forget", MSISDN, "--yes", "--store", locked) == 0
    assert said("subscriber", "show", MSISDN, "--store", locked) == 1
    assert said.err == f"error: {MSISDN}: nothing is known of this subscriber\n"
    assert said("subscriber", "forget", MSISDN, "--yes", "--store", locked) == 1


def test_where_nobody_can_be_asked_one_line_says_what_to_do(
    locked: str, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert said("subscriber", "forget", MSISDN, "--store", locked) == 2
    assert said.err.endswith("error: nobody has answered, so nothing was done; --yes does it without asking\n")
    assert said("subscriber", "show", MSISDN, "--store", locked) == 0


def test_a_store_that_is_not_there_is_not_made(said: Said) -> None:
    assert said("subscriber", "show", MSISDN) == 2
    assert said.err.startswith("error: sqlite:///var/ussd-server.db: there is no such file")
    assert not Path("var").exists()


def test_a_store_that_is_no_database_is_one_line(said: Said) -> None:
    Path("s.db").write_bytes(b"not a database at all, but long enough to be taken for one" * 100)
    assert said("subscriber", "show", MSISDN, "--store", "sqlite:///s.db") == 1
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
