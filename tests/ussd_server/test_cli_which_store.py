"""Commands on a store: where none is named, the default is not taken for the store that the servers use."""

from pathlib import Path

import pytest

from tests.ussd_server.command_line import Said, without_settings
from ussd_server import store_note, store_url


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("var").mkdir(mode=0o700)
    return Said(capsys)


@pytest.mark.parametrize(
    "words",
    [
        ("subscriber", "show", "79101234567"),
        ("subscriber", "journal", "79101234567"),
        ("subscriber", "unlock", "79101234567", "--reason", "called"),
        ("subscriber", "offers", "79101234567", "no", "--reason", "called"),
        ("subscriber", "forget", "79101234567", "--yes"),
        ("dead-letters", "list"),
        ("dead-letters", "retry", "--all", "--reason", "the SMSC is back"),
        ("terminal", "list"),
        ("terminal", "add", "hall-1", "--name", "Hall 1", "--key", "A" * 43 + "="),
        ("push", "notify", "79101234567", "--text", "Hello", "--category", "service"),
    ],
    ids=" ".join,
)
def test_nothing_is_done_in_another_store_than_that_of_the_servers(words: tuple[str, ...], said: Said) -> None:
    assert said("keys", "init") == 0
    store_note.note(Path("var"), store_url.parse("redis://127.0.0.1:1/0"))
    assert said(*words) == 2
    assert "use another than sqlite:///var/ussd-server.db: add --store 'redis://127.0.0.1:1/0'" in said.err
    assert said.err.count("\n") == 1
    assert not Path("var/ussd-server.db").exists()
