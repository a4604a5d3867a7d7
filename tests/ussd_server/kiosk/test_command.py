"""`ussd-server kiosk`: what is wrong is one line with its mend, and a real process serves the page and closes it."""

import json
import os
from pathlib import Path

import pytest

from tests.ussd_server.kiosk.house import ApartHouse
from ussd_server.cli.program import outcome
from ussd_server.kiosk.kiosk import Kiosk
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import PREFIX
from ussd_server.terminals import credentials


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


def own(path: Path, url: str = "http://127.0.0.1:9") -> Path:
    credentials.create(path, credentials.Credentials("hall-1", "k", Secret(bytes(32)), url, {"s": bytes(32)}))
    return path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert outcome(["kiosk", *arguments]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_a_file_that_is_missing_says_how_to_make_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = complaint(capsys, "--terminal", str(tmp_path / "none.json"))
    assert "--terminal: there is no" in text
    assert "ussd-server terminal add ID --generate" in text


def test_a_file_that_others_can_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own(tmp_path / "hall-1.json")
    path.chmod(0o644)
    assert "chmod 600" in complaint(capsys, "--terminal", str(path))


def test_an_address_is_needed_and_must_be_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = own(tmp_path / "nowhere.json", "")
    assert "write --server https://HOST" in complaint(capsys, "--terminal", str(nowhere))
    http = ["--http", "127.0.0.1:0"]
    text = complaint(capsys, "--terminal", str(nowhere), "--server", "http://terminals.example", *http)
    assert "--server http://terminals.example: http://terminals.example has no TLS, " in text
    assert "write https://" in text
    assert "--http: 'here' is not HOST:PORT" in complaint(capsys, "--terminal", str(nowhere), "--http", "here")


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["kiosk", "--help"]) == 0
    text = capsys.readouterr().out
    assert "ussd-server kiosk --terminal hall-1.json" in text
    assert "ussd-server terminal add hall-1 --generate hall-1.json" in text


def test_the_demos_own_terminal_keeps_its_key_to_its_owner(apart: ApartHouse, tmp_path: Path) -> None:
    path = tmp_path / "demo-kiosk.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["terminal"] == "demo-kiosk"
    assert isinstance(apart.kiosk.kiosk, Kiosk)
