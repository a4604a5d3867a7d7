"""`ussd-server dialects`: an operator finds a dialect, writes one, and is told what is wrong with it."""

import re
from pathlib import Path

import pytest

from tests.ussd_server.dialects.recording import RECORDINGS, read
from ussd_server.cli.program import outcome
from ussd_server.dialects.files import load, parse, shipped, values_of


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = outcome(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_every_shipped_dialect_is_listed_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "dialects", "list")
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines()] == list(shipped())
    assert "Sibinco; the dialogue's id is user_message_reference" in out


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("whole", [(), ("--whole",)])
def test_what_is_shown_is_a_file_of_ones_own(
    capsys: pytest.CaptureFixture[str], name: str, whole: tuple[str, ...]
) -> None:
    code, out, _ = said(capsys, "dialects", "show", name, *whole)
    assert code == 0
    shown = parse(out, "own.yaml")
    assert (values_of(shown), shown.about) == (values_of(load(name)), load(name).about)
    assert ("base:" in out) == (not whole and name != "standard")


def test_a_right_file_is_said_to_be_so_and_how_it_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: comverse\nsent: {ask: 0x82}\n", encoding="utf-8")
    code, out, _ = said(capsys, "dialects", "check", str(own))
    assert code == 0
    assert f"?dialect={own}" in out
    assert "It can ask and notify from our side." in out
    assert said(capsys, "dialects", "show", str(own))[1] == own.read_text(encoding="utf-8")
    code, out, _ = said(capsys, "dialects", "check", "tata")
    assert (code, "It can begin nothing from our side." in out) == (0, True)


def test_a_wrong_file_is_told_with_every_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: sixdee\nsent: {end: 0x117}\nrecieved: {}\n", encoding="utf-8")
    mistakes = [
        f"{own}:2:13: end: 279 marks no step; an op as 0x01, or a service_type as PSSRR",
        f"{own}:3:1: unknown key 'recieved'; did you mean 'received'?",
    ]
    code, out, err = said(capsys, "dialects", "check", str(own))
    assert (code, out.splitlines(), err) == (1, mistakes, f"{own}: 2 mistakes\n")
    code, _, err = said(capsys, "dialects", "show", str(own))
    assert (code, err.splitlines()) == (2, [f"error: {mistake}" for mistake in mistakes])
    code, _, err = said(capsys, "smsc", "--dialect", str(own))
    assert (code, err) == (2, f"error: --dialect: {mistakes[0]} (1 more, see: ussd-server dialects check {own})\n")


@pytest.mark.parametrize(
    "command", [("dialects", "show", "tatta"), ("dialects", "check", "none.yaml"), ("smsc", "--dialect", "x.y")]
)
def test_what_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    code, _, err = said(capsys, *command)
    assert code == 2
    assert err.count("\n") == 1
    assert command[-1] in err


def test_a_captured_message_is_read_in_every_dialect(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: comverse\nsession: {tag: 0x1500}\n", encoding="utf-8")
    begin = next(block for block in read(RECORDINGS / "comverse.txt").blocks if block.act.startswith("dial"))
    code, out, _ = said(capsys, "dialects", "read", begin.octets.hex(" "), "--dialect", str(own))
    assert code == 0
    rows = [re.split(r"  +", line) for line in out.splitlines()]
    assert rows[:2] == [["dialect", "takes it for", "id of the dialogue"], ["comverse", "dialled *111#", "feedc0de"]]
    assert ["own", "dialled *111#", "none"] in rows
    assert ["huawei-service-type", "op 0x01 is none of its steps; '*111#' goes on, or begins", "none"] in rows


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (["zz"], "error: HEX: not octets in hex; give a whole PDU, from its length on\n"),
        (["00", "01"], "error: HEX: this is no whole PDU: 2 octets are less than a header; give a whole PDU, from its"),
    ],
)
def test_what_is_no_message_is_one_line(capsys: pytest.CaptureFixture[str], octets: list[str], text: str) -> None:
    code, _, err = said(capsys, "dialects", "read", *octets)
    assert code == 2
    assert err.startswith(text)
    assert err.count("\n") == 1
