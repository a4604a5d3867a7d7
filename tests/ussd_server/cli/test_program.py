"""The command line: every error is one line with its exit code, and every command says how it is used."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import pytest
import typer

from tests.ussd_server.cli.command_line import Said
from ussd_server.cli.common import columns
from ussd_server.cli.program import app
from ussd_server.store_url import FORMS, OPTIONS

MSISDN = "79101234567"
ROOT = Path(__file__).parents[3]


def commands() -> list[tuple[str, ...]]:
    """Return every command as the words that call it."""
    found: list[tuple[str, ...]] = []
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.extend((name, each) for each in inner) if inner else found.append((name,))
    return found


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


def test_columns_stand_under_each_other_without_trailing_blanks() -> None:
    assert columns([("a", "bbb", "c"), ("dd", "e", "")]) == ["a   bbb  c", "dd  e"]
    assert columns([]) == []


def test_it_runs_as_a_program_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-m", "ussd_server", "rum"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: No such command 'rum'. Did you mean 'run'? (see ussd-server --help)\n"


OLD_LOCALE = {**os.environ, "PYTHONIOENCODING": "latin-1"}
DRAW = [sys.executable, "-m", "ussd_server", "flows", "draw"]


def test_what_a_terminal_cannot_show_is_a_question_mark() -> None:
    """As where its locale is of a time before UTF-8."""
    ours, its = os.openpty()
    with (
        subprocess.Popen(DRAW, stdout=its, stderr=subprocess.PIPE, env=OLD_LOCALE) as drawing,
        open(ours, "rb") as shown,
    ):
        os.close(its)
        assert b"????" in b"".join(until_hung_up(shown))
        assert drawing.stderr is not None
        assert drawing.stderr.read() == b""
    assert drawing.returncode == 0


def until_hung_up(terminal: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a terminal until nobody has it open for writing any more, which it tells as an error."""
    with suppress(OSError):
        yield from terminal


def test_a_file_has_every_character_whatever_the_locale() -> None:
    done = subprocess.run(DRAW, capture_output=True, check=True, env=OLD_LOCALE)
    assert "Тарифы" in done.stdout.decode()
