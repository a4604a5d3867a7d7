"""Each test begins in an empty directory, without settings, at a time that it can move."""

from pathlib import Path

import pytest

from tests.ussd_server.cli.command_line import Said, without_settings
from tests.ussd_server.cli.keys.stored import Clock
from ussd_server.cli import keys as keys_command


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keys_command, "TAKE_UP_S", 0.0)  # no server runs here


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keys_command, "now", clock)
    return clock


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys, first=("keys",))
