"""`ussd-server terminal`: adding, listing, revoking and quarantining, as an operator does it."""

import asyncio
import base64
import json
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace
from nacl.signing import SigningKey

from ussd_server.cli import terminal as terminal_command
from ussd_server.cli.program import outcome
from ussd_server.secrecy.keys import load as load_keys
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.terminals import credentials
from ussd_server.terminals.record import Terminal

PUBLIC = base64.b64encode(bytes(SigningKey(bytes(32)).verify_key)).decode()
OTHER = base64.b64encode(bytes(SigningKey(b"o" * 32).verify_key)).decode()


class Said:
    """Runs a command and keeps what it wrote; `log` are the lines of the log, `err` the rest of standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""
        self.log: list[dict[str, str]] = []

    def __call__(self, *arguments: str) -> int:
        code = outcome(arguments)
        self.out, err = self._capsys.readouterr()
        self.log = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        self.err = "".join(line + "\n" for line in err.splitlines() if not line.startswith("{"))
        return code


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    said = Said(capsys)
    assert said("keys", "init") == 0
    return said


def stored() -> list[Terminal]:
    async def within() -> list[Terminal]:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            return await store.terminals()
        finally:
            await store.close()

    return asyncio.run(within())


def keep(terminal: Terminal) -> None:
    async def within() -> None:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            _, version = await store.load_terminal(terminal.id)
            assert await store.commit_terminal(terminal, version)
        finally:
            await store.close()

    asyncio.run(within())


def test_a_key_is_made_written_for_the_terminal_and_registered(said: Said) -> None:
    assert said("terminal", "add", "hall-1", "--name", "Main hall", "--generate", "t.json") == 0
    [terminal] = stored()
    [key] = terminal.keys
    assert f"hall-1/{key.id}" in said.out
    assert (terminal.id, terminal.name, terminal.standing) == ("hall-1", "Main hall", "active")
    assert stat.S_IMODE(Path("t.json").stat().st_mode) == 0o600
    kept = credentials.load(Path("t.json"))
    assert (kept.terminal, kept.key, kept.url) == ("hall-1", key.id, "")
    assert bytes(SigningKey(kept.private.reveal()).verify_key) == key.public
    pinned = load_keys(Path("var/keys.json")).public("signing")
    assert kept.signing == {each.id: each.octets for each in pinned}
    assert said.log[0]["event"] == "terminal key added"
    private = json.loads(Path("t.json").read_text())["private"]
    assert private not in said.out + str(said.log)


def test_the_address_for_the_terminal_is_an_option_or_the_setting(said: Said) -> None:
    Path("s.toml").write_text('terminal_url = "https://a.example"\n', encoding="utf-8")
    assert said("terminal", "add", "hall-1", "--generate", "1.json", "--settings", "s.toml") == 0
    url = ("--terminal-url", "https://b.example")
    assert said("terminal", "add", "hall-2", "--generate", "2.json", "--settings", "s.toml", *url) == 0
    assert [credentials.load(Path(name)).url for name in ("1.json", "2.json")] == [
        "https://a.example",
        "https://b.example",
    ]
    assert said("terminal", "add", "hall-3", "--generate", "3.json", "--terminal-url", "b.example") == 2
    assert not Path("3.json").exists()


def test_a_key_of_the_terminals_own_is_registered_and_the_servers_told(said: Said) -> None:
    assert said("terminal", "add", "hall-1", "--key", PUBLIC, "--wrong-per-hour", "5", "--orders-per-hour", "7") == 0
    [terminal] = stored()
    assert (terminal.name, terminal.wrong_an_hour, terminal.orders_an_hour) == ("hall-1", 5, 7)
    [signing] = load_keys(Path("var/keys.json")).public("signing")
    assert f"{signing.id} {base64.b64encode(signing.octets).decode()}" in said.out


def test_keys_overlap_until_the_old_one_is_removed(said: Said) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC)
    said("terminal", "add", "hall-1", "--key", OTHER)
    [terminal] = stored()
    old, new = terminal.keys
    assert said("terminal", "revoke", "hall-1", "--key", f"hall-1/{old.id}") == 0
    assert [key.id for key in stored()[0].keys] == [new.id]
    assert said.log[0]["event"] == "terminal key removed"
    assert said("terminal", "revoke", "hall-1", "--key", new.id) == 1
    assert "add the new one first" in said.err


def test_the_list_tells_standing_keys_and_reason(said: Said) -> None:
    assert said("terminal", "add", "hall-1", "--key", PUBLIC, "--name", "Main hall") == 0
    assert said("terminal", "add", "yard", "--key", OTHER) == 0
    assert said("terminal", "quarantine", "hall-1", "--reason", "found open") == 0
    assert said.log[0] | {"time": ""} == {
        "event": "terminal quarantined",
        "level": "info",
        "terminal": "hall-1",
        "reason": "found open",
        "time": "",
    }
    assert said("terminal", "revoke", "yard", "--reason", "stolen") == 0
    assert said("terminal", "list") == 0
    header, hall, yard = said.out.splitlines()
    assert header.split() == ["ID", "NAME", "STANDING", "SINCE", "KEYS", "WRONG", "ORDERS", "REASON"]
    assert "Main hall  quarantined" in hall
    assert stored()[0].keys[0].id in hall
    assert hall.endswith("0/20   0/60    found open")
    assert "revoked" in yard
    assert yard.endswith("stolen")
    assert stored()[1].keys == ()


def test_a_quarantine_is_lifted(said: Said) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC)
    said("terminal", "quarantine", "hall-1", "--reason", "found open")
    assert said("terminal", "quarantine", "hall-1", "--lift") == 0
    assert (stored()[0].standing, stored()[0].reason) == ("active", "")
    assert said("terminal", "quarantine", "hall-1", "--lift") == 1
    assert said.err == "error: hall-1 is not quarantined, it is active\n"


def test_name_and_budgets_are_changed_and_the_rest_stays(said: Said) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC, "--name", "Main hall")
    [before] = stored()
    assert said("terminal", "set", "hall-1", "--orders-per-hour", "200") == 0
    assert said.out == (
        "hall-1, Main hall: 20 (wrong entries) and 200 (orders of codes) are its budgets of an hour, "
        "from its next request on.\n"
    )
    assert stored() == [replace(before, orders_an_hour=200)]
    assert said("terminal", "set", "hall-1", "--name", "Yard [east]", "--wrong-per-hour", "7") == 0
    assert said.out.startswith("hall-1, Yard [east]: 7 (wrong entries)")
    assert stored() == [replace(before, orders_an_hour=200, name="Yard [east]", wrong_an_hour=7)]
    assert said.log[0] | {"time": ""} == {
        "event": "terminal changed",
        "level": "info",
        "terminal": "hall-1",
        "name": "Yard [east]",
        "wrong_an_hour": 7,
        "orders_an_hour": 200,
        "time": "",
    }


def test_a_smaller_budget_that_is_used_up_quarantines_and_says_so(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC)
    [before] = stored()
    monkeypatch.setattr(terminal_command, "now", lambda: before.added_at + 60_000)
    keep(replace(before, wrong=(before.added_at,) * 7))
    assert said("terminal", "set", "hall-1", "--wrong-per-hour", "8") == 0
    assert "quarantined" not in said.out
    assert said("terminal", "set", "hall-1", "--wrong-per-hour", "7") == 0
    assert said.out.splitlines()[1] == (
        "It is quarantined (7 wrong entries in an hour); "
        "let it work again with: ussd-server terminal quarantine hall-1 --lift"
    )
    assert [line["event"] for line in said.log] == ["terminal changed", "terminal quarantined"]
    assert stored()[0].standing == "quarantined"


def test_what_cannot_be_changed_stays_and_is_said(said: Said) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC)
    before = stored()
    for arguments, code, text in (
        ((), 2, "say what to change: --name TEXT, --wrong-per-hour NUMBER, --orders-per-hour NUMBER"),
        (("--name", " "), 2, "a name has 1 to 64 printable characters"),
        (("--orders-per-hour", "100001"), 2, "a budget is a number from 1 to 100000"),
        (("--wrong-per-hour", "0"), 2, "--wrong-per-hour"),
        (("--wrong-per-hour", "many"), 2, "--wrong-per-hour"),
    ):
        assert said("terminal", "set", "hall-1", *arguments) == code
        assert text in said.err
        assert said.err.count("\n") == 1
        assert stored() == before
    said("terminal", "revoke", "hall-1")
    assert said("terminal", "set", "hall-1", "--orders-per-hour", "5") == 1
    assert said.err == "error: hall-1 is revoked; say what it is to have when it is added again\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("add", "hall-1"), 2, "with --key, or have one made with --generate FILE"),
        (("add", "hall-1", "--key", PUBLIC, "--generate", "t.json"), 2, "with --key, or have one made"),
        (("add", "hall-1", "--key", "***"), 2, "--key: it is no base64"),
        (("add", "hall-1", "--key", "AAAA"), 2, "no Ed25519 public key"),
        (("add", "Hall", "--generate", "t.json"), 2, "'Hall' is no terminal's id"),
        (("add", "hall-1", "--generate", "none/t.json"), 2, "--generate: the file none/t.json cannot be used"),
        (("add", "hall-1", "--generate", "t.json", "--name", "a" * 65), 2, "a name has 1 to 64"),
        (("quarantine", "hall-1"), 2, "say why with --reason TEXT"),
        (("quarantine", "hall-1", "--reason", "a", "--lift"), 2, "say why with --reason TEXT"),
        (("list",), 2, "there is no such file"),
        (("set", "hall-1", "--name", "Yard"), 2, "there is no such file"),
        (("revoke", "hall-1"), 2, "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], code: int, text: str, said: Said
) -> None:
    assert said("terminal", *arguments) == code
    assert text in said.err
    assert said.err.count("\n") == 1
    assert (said.out, said.log) == ("", [])
    assert not Path("t.json").exists()


def test_an_unknown_terminal_is_said(said: Said) -> None:
    said("terminal", "add", "hall-1", "--key", PUBLIC)
    for command in (
        ("revoke", "hall-2"),
        ("revoke", "hall-2", "--key", "a"),
        ("quarantine", "hall-2", "--lift"),
        ("set", "hall-2", "--name", "a"),
    ):
        assert said("terminal", *command) == 1
        assert said.err == "error: there is no terminal hall-2\n"


def test_a_file_that_is_there_is_never_replaced(said: Said) -> None:
    Path("t.json").write_text("precious", encoding="utf-8")
    assert said("terminal", "add", "hall-1", "--generate", "t.json") == 2
    assert Path("t.json").read_text(encoding="utf-8") == "precious"
    assert not Path("var/ussd-server.db").exists()


def test_without_the_servers_keys_no_terminal_is_added(said: Said) -> None:
    Path("var/keys.json").unlink()
    assert said("terminal", "add", "hall-1", "--generate", "t.json") == 2
    assert said.err == "error: there are no keys in var; make them with: ussd-server keys init --data var\n"
