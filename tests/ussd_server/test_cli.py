"""The command line: every error is one line with its exit code, and every command says how it is used."""

import asyncio
import io
import json
import os
import re
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from msgspec.structs import replace

from tests.ussd_server.cli.command_line import Said, without_settings
from ussd_server.cli.common import columns
from ussd_server.cli.journal import readable
from ussd_server.cli.program import app, outcome
from ussd_server.store_url import FORMS, OPTIONS
from ussd_server.stores.base import Change, JournalEntry
from ussd_server.stores.sqlite.store import SqliteStore

MSISDN = "79101234567"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


def commands() -> list[tuple[str, ...]]:
    """Return every command as the words that call it."""
    found: list[tuple[str, ...]] = []
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.extend((name, each) for each in inner) if inner else found.append((name,))
    return found


# Usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [*commands(), ("dead-letters",), ("dialects",), ("flows",), ("keys",), ("subscriber",), ("terminal",)],
    ids=" ".join,
)
def test_every_command_has_help_with_examples(words: tuple[str, ...], said: Said) -> None:
    assert said(*words, "--help") == 0
    assert "Examples" in said.out
    assert f"ussd-server {' '.join(words)}" in said.out
    assert "\x1b" not in said.out
    assert not re.search(r"<\w+(\[\w+\])?( range)?>", said.out)  # Python's types are nothing to a reader


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_cuts_nothing_in_a_terminal_of_80_columns(
    words: tuple[str, ...], said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert said(*words, "--help") == 0
    assert [line for line in said.lines if re.search(r"…\s*│", line)] == []
    assert [line for line in said.lines if line.strip() == "\\"] == []  # an example that was wrapped anew


@pytest.mark.parametrize("words", [("run",), ("store", "copy")], ids=" ".join)
def test_help_lists_what_a_stores_url_may_have_with_examples(words: tuple[str, ...], said: Said) -> None:
    assert said(*words, "--help") == 0
    told = " ".join(said.out.split())
    for form in FORMS.split(", "):
        assert form in told
    for key, option in OPTIONS.items():
        assert f"{key}={option.form}: {option.meaning}" in told
    assert "?ca_file=/etc/" in told


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_shows_what_holds_where_nothing_is_said(
    words: tuple[str, ...], said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in brackets, as Rich's markup does."""
    monkeypatch.setenv("COLUMNS", "400")
    assert said(*words, "--help") == 0
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    defaults = [
        each for param in command.params for each in re.findall(r"\[[^\]]*\]", getattr(param, "help", "") or "")
    ]
    assert [each for each in defaults if each not in said.out] == []


def test_help_names_the_flow_file_that_is_taken_where_none_is_named(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    for command in ("check", "draw", "play"):
        assert said("flows", command, "--help") == 0
        assert "[what the settings name, else ./flows.yaml, else the shipped one]" in said.out


def test_the_readme_lists_every_command() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Commands")[2].partition("## Settings")[0]
    rows = [re.findall(r"`([^`]*)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| `")]
    listed: set[tuple[str, ...]] = set()
    for first, *others in rows:
        words = [word for word in first.removeprefix("ussd-server ").split() if word == word.lower()]
        listed |= {tuple(words), *((words[0], other.split()[0]) for other in others if not other.startswith("-"))}
    assert set(commands()) <= listed


def test_help_has_a_short_name(said: Said) -> None:
    assert said("flows", "test", "-h") == 0
    assert "CONVERSATION..." in said.out


def test_the_version_is_that_of_the_package(said: Said) -> None:
    assert said("--version") == 0
    assert said.out == f"ussd-server {version('ussd-server')}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rum"], "error: No such command 'rum'. Did you mean 'run'? (see ussd-server --help)\n"),
        (["run", "--htp", "x"], "No such option: --htp"),
        (["run"], "error: --smsc: no SMSC to bind to; give one, or try everything with: ussd-server demo\n"),
        (["run", "--smsc", "smpp://a:b@h", "--http", "x"], "error: --http: 'x' is not HOST:PORT"),
        (["subscriber", "unlock", MSISDN], "error: Missing option '--reason'."),
        (["subscriber", "show", "6262"], "error: MSISDN '6262': not a subscriber's number (short)"),
        (["keys", "list", "--settings", "none.toml"], "error: --settings none.toml: the file cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], text: str, said: Said) -> None:
    assert said(*arguments) == 2
    assert text in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_wrong_settings_key_is_one_line_and_2(said: Said) -> None:
    Path("s.toml").write_text("htp = 1\n", encoding="utf-8")
    assert said("run", "--settings", "s.toml") == 2
    assert said.err == "error: s.toml:1: unknown key 'htp'; did you mean http?\n"


def test_no_command_is_help_and_2(said: Said) -> None:
    assert said() == 2
    assert "demo" in said.out


# The support desk -------------------------------------------------------------------------------------------------


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


# Pieces -----------------------------------------------------------------------------------------------------------


def test_columns_stand_under_each_other_without_trailing_blanks() -> None:
    assert columns([("a", "bbb", "c"), ("dd", "e", "")]) == ["a   bbb  c", "dd  e"]
    assert columns([]) == []


def test_it_runs_as_a_program_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-m", "ussd_server", "rum"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: No such command 'rum'. Did you mean 'run'? (see ussd-server --help)\n"


def test_what_a_terminal_cannot_show_is_a_question_mark() -> None:
    """As where its locale is of a time before UTF-8."""
    done = subprocess.run(
        [sys.executable, "-m", "ussd_server", "flows", "draw"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        encoding="latin-1",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "????" in done.stdout


# Flows ------------------------------------------------------------------------------------------------------------


def test_the_shipped_flow_has_no_mistakes(said: Said) -> None:
    assert said("flows", "check") == 0
    assert "no mistakes" in said.out
    assert "6262" in said.out


def test_every_mistake_of_a_flow_is_a_line_with_its_place(said: Said) -> None:
    text = (Path(__file__).parents[2] / "flows.yaml").read_text(encoding="utf-8")
    Path("f.yaml").write_text(
        text.replace("to: order_code}", "to: order_cod}").replace("home: main", "home: mian"), encoding="utf-8"
    )
    assert said("flows", "check", "f.yaml") == 1
    lines = said.out.splitlines()
    assert len(lines) > 2
    assert all(re.match(r"f\.yaml:\d+:\d+: ", line) for line in lines)
    assert any("mian" in line and "main" in line for line in lines)
    assert said.err == f"f.yaml: {len(lines)} mistakes\n"


def test_a_closing_text_that_fits_no_screen_is_found_as_the_server_finds_it(said: Said) -> None:
    text = (Path(__file__).parents[2] / "flows.yaml").read_text(encoding="utf-8")
    assert "  late: {ru: " in text
    Path("f.yaml").write_text(text.replace("  late: {ru: ", f"  late: {{ru: {'слово ' * 40}", 1), encoding="utf-8")
    assert said("flows", "check", "f.yaml") == 1
    assert all("'late' does not fit one USSD screen" in line for line in said.out.splitlines())


def test_a_flow_file_that_is_not_there_is_one_line(said: Said) -> None:
    assert said("flows", "check", "none.yaml") == 2
    assert said.err == "error: none.yaml: the flow file cannot be read: No such file or directory\n"


def test_a_flow_is_drawn_in_a_language_that_it_has(said: Said) -> None:
    assert said("flows", "draw", "--language", "en") == 0
    assert said.out.startswith("flowchart LR\n")
    assert '"Tariffs"' in said.out
    assert said("flows", "draw", "--language", "de") == 2
    assert said.err == "error: --language de: the flow speaks ru, en, ru-Latn\n"


GOLDEN = """\
# The balance.
given active
answer balance: ok {amount: 150000}

> dial *100#
Баланс: 1 500 руб.
(end)
"""


def test_golden_conversations_are_played(said: Said) -> None:
    Path("golden").mkdir()
    Path("golden/balance.txt").write_text(GOLDEN, encoding="utf-8")
    assert said("flows", "test", "golden") == 0
    assert said.out == "1 conversation: all as written\n"


def test_what_is_read_otherwise_is_shown_and_can_be_written_down(said: Said) -> None:
    path = Path("balance.txt")
    path.write_text(GOLDEN.replace("1 500", "1 600"), encoding="utf-8")
    assert said("flows", "test", str(path)) == 1
    assert "-Баланс: 1 600 руб." in said.out.splitlines()
    assert "+Баланс: 1 500 руб." in said.out.splitlines()
    assert said.err == "1 conversation: 1 otherwise\n"
    assert said("flows", "test", "--write", str(path)) == 0
    assert path.read_text(encoding="utf-8") == GOLDEN


def test_a_line_of_a_conversation_that_means_nothing_is_named(said: Said) -> None:
    Path("c.txt").write_text("# Wrong.\n> dail *100#\n", encoding="utf-8")
    assert said("flows", "test", "c.txt") == 1
    assert said.err.startswith("error: c.txt:2: 'dail' is none of ")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("# Title\n\nhello world\n", "c.txt:3: nothing is said before this could be read; what is said begins with >"),
        ("", "c.txt:1: this is no conversation: no line begins with >"),
        ("# Title\n\ngiven active\n", "c.txt:3: this is no conversation: no line begins with >"),
        ("> quoted\n", "c.txt:1: 'quoted' is none of dial, "),
    ],
)
def test_what_is_no_conversation_is_told_and_nothing_is_written(content: str, error: str, said: Said) -> None:
    stale = GOLDEN.replace("1 500", "1 600")
    Path("a.txt").write_text(stale, encoding="utf-8")
    Path("c.txt").write_text(content, encoding="utf-8")
    assert said("flows", "test", "c.txt", "a.txt") == 1
    assert said.err.startswith(f"error: {error}")
    assert said.err.endswith("\n2 conversations: 1 otherwise, 1 cannot be played\n")
    assert "+Баланс: 1 500 руб." in said.lines
    assert said("flows", "test", "--write", "a.txt", "c.txt") == 1
    assert said.err.startswith(f"error: {error}")
    assert said.err.endswith("\n2 conversations: 1 cannot be played, nothing was written\n")
    assert (Path("a.txt").read_text("utf-8"), Path("c.txt").read_text("utf-8")) == (stale, content)


def test_a_conversation_that_cannot_be_written_is_one_line_and_stays_as_it_was() -> None:
    stale = GOLDEN.replace("1 500", "1 600")
    Path("a.txt").write_text(stale, encoding="utf-8")
    command = [sys.executable, "-m", "ussd_server", "flows", "test", "--write", "a.txt"]
    full = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
    done = subprocess.run(full, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: a.txt: the conversation cannot be written: File too large\n")
    assert Path("a.txt").read_text("utf-8") == stale
    assert [each.name for each in Path().iterdir()] == ["a.txt"]


def test_a_conversation_is_replaced_as_a_whole_with_its_rights_and_behind_its_link(said: Said) -> None:
    """Who has the file open reads the old one to its end, as whoever opens it after an interruption does."""
    Path("kept").mkdir()
    kept, link = Path("kept/balance.txt"), Path("balance.txt")
    stale = GOLDEN.replace("1 500", "1 600")
    kept.write_text(stale, encoding="utf-8")
    kept.chmod(0o640)
    link.symlink_to(kept)
    with kept.open(encoding="utf-8") as before:
        assert said("flows", "test", "--write", "balance.txt") == 0
        assert before.read() == stale
    assert kept.read_text(encoding="utf-8") == GOLDEN
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert [each.name for each in Path("kept").iterdir()] == ["balance.txt"]


def test_conversations_that_are_not_there_are_named(said: Said) -> None:
    assert said("flows", "test", "none.txt") == 2
    assert said.err == "error: none.txt: the conversation cannot be read: No such file or directory\n"
    Path("empty").mkdir()
    assert said("flows", "test", "empty") == 2
    assert said.err == "error: empty: no conversations (*.txt) there\n"


def test_talking_to_a_flow_gives_a_golden_conversation(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "given active\n*100#\nanswer balance: nonsense\nanswer balance: ok {amount: 150000}\n*100#\n/kep\n0\n*1"
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert said("flows", "play") == 1
    Path("played.txt").write_text(said.out, encoding="utf-8")
    remarks = [line for line in said.out.splitlines() if line.startswith("#")]
    assert remarks[0].startswith("# *100#: 'balance' is asked, and nothing says what it answers; ")
    assert remarks[0].endswith(" a line before it does: answer balance: ok {amount: 1500}")
    assert remarks[1:] == [
        "# answer balance: nonsense: 'balance: nonsense' is no answer: operation: outcome value",
        "# /kep: there are /keep FILE, /help; to answer with /kep: reply /kep",
    ]
    assert "Баланс: 1 500 руб.\n" in said.out
    assert said("flows", "test", "played.txt") == 0
    assert said.out == "1 conversation: all as written\n"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("given blah\n", 1),
        ("/bad\n", 1),
        ("/keep\n", 1),
        ("/keep none/c.txt\n", 1),
        ("*111#\n/help\n/keep c.txt\n", 0),
    ],
)
def test_lines_from_a_pipe_that_cannot_be_played_are_a_failure(
    typed: str, code: int, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert said("flows", "play") == code


class Terminal(io.StringIO):
    """A stream that says that a person is at it."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_told_how_to_keep_the_conversation_and_how_to_end(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("there.txt").touch()
    typed = "*111*2#\n*111#\n/what\n/keep there.txt\n/keep mine.txt\n6\n/keep mine.txt\n"
    shown = Terminal()
    with monkeypatch.context() as terminal:
        terminal.setattr(sys, "stdin", Terminal(typed))
        terminal.setattr(sys, "stdout", shown)
        assert outcome(["flows", "play"]) == 0
    first, *rest = shown.getvalue().splitlines()
    assert first == (
        "Dial with *111# (at a terminal: terminal menu), answer with anything else. "
        "/keep FILE keeps the conversation, Ctrl-D ends."
    )
    assert "> (there are /keep FILE, /help; to answer with /what: reply /what)" in rest
    assert "> (there.txt is there already; choose another name)" in rest
    assert rest.count("> (kept; play it again with: ussd-server flows test mine.txt)") == 2
    assert "#" not in Path("mine.txt").read_text(encoding="utf-8").replace("*111#", "").replace("*111*2#", "")
    assert said("flows", "test", "mine.txt") == 0


def test_talking_goes_on_from_a_conversation(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("balance.txt").write_text(GOLDEN, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("*111#\n0"))
    assert said("flows", "play", "--with", "balance.txt") == 0
    assert said.out.startswith(GOLDEN)
    assert "> dial *111#\n" in said.out.removeprefix(GOLDEN)
