"""`ussd-server flows`: a flow is checked, drawn, tested by conversations and talked to."""

import io
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ussd_server.cli.command_line import Said
from ussd_server.cli.program import outcome

SHIPPED = Path(__file__).parents[3] / "flows.yaml"


def test_the_shipped_flow_has_no_mistakes(said: Said) -> None:
    assert said("flows", "check") == 0
    assert "no mistakes" in said.out
    assert "6262" in said.out


def test_every_mistake_of_a_flow_is_a_line_with_its_place(said: Said) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
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
    text = SHIPPED.read_text(encoding="utf-8")
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
