"""Private keys stay in their files: no command prints one, whole or in part, in any of the usual spellings."""

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from tests.ussd_server.cli.command_line import without_settings
from ussd_server.cli import keys as keys_command
from ussd_server.cli.program import outcome
from ussd_server.secrecy.keys import load
from ussd_server.terminals import credentials

PUBLIC = base64.b64encode(bytes(SigningKey(bytes(32)).verify_key)).decode()
LEAST = 8
"""Octets in a row that are no accident."""

COMMANDS = [
    "keys init",
    "keys list",
    "keys init",
    "terminal add hall-1 --name Hall --generate hall-1.json",
    "terminal add hall-1 --generate hall-1.json",
    "terminal add yard --key " + PUBLIC,
    "terminal list",
    "keys rotate kek",
    "keys rotate transport",
    "keys rotate signing",
    "keys rewrap",
    "keys list",
    "keys list --numbers",
    "keys join var/keys.json",
    "keys adopt --yes",
    "keys retire KEY",
    "terminal set hall-1 --orders-per-hour 200",
    "terminal quarantine hall-1 --reason odd",
    "terminal revoke hall-1 --reason stolen",
    "terminal list",
    "journal 79101234567",
    "subscriber show 79101234567",
]


@pytest.fixture(autouse=True)
def _own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keys_command, "TAKE_UP_S", 0.0)  # no server runs here


def spellings(secret: bytes) -> Iterator[str]:
    """Return how any LEAST octets of a key in a row may be written; in base64 at each of three offsets."""
    for at in range(len(secret) - LEAST + 1):
        piece = secret[at : at + LEAST]
        yield piece.hex()
        yield repr(piece)[2:-1]
    for at in range(len(secret) - LEAST - 1):
        whole = secret[at : at + (len(secret) - at) // 3 * 3]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(whole)[:LEAST].decode()


def test_no_command_prints_a_private_key(capsys: pytest.CaptureFixture[str]) -> None:
    said, secrets = "", {}
    for command in COMMANDS:
        code = outcome(tuple(_named(command).split()))
        out, err = capsys.readouterr()
        assert code in (0, 1, 2), err
        said += out + err
        secrets.update({key.id: key.secret.reveal() for key in load(Path("var/keys.json")).keys})
    secrets["hall-1"] = credentials.load(Path("hall-1.json")).private.reveal()
    assert len(secrets) == 4 + 3 + 1
    for name, secret in secrets.items():
        assert not any(piece in said for piece in spellings(secret)), f"{name} was printed"


def test_it_would_be_seen() -> None:
    secret = bytes(range(100, 132))
    for shown in (secret.hex(), base64.b64encode(secret).decode(), repr(secret), secret[5:20].hex()):
        assert any(piece in shown for piece in spellings(secret)), shown


def test_the_words_for_a_refused_file_hold_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(("keys", "init")) == 0
    path = Path("var/keys.json")
    stored = [key.secret.reveal() for key in load(path).keys]
    whole = path.read_text()
    damaged = (whole[:-40], whole.replace('"version"', '"versoin"'), json.dumps([whole]), whole.replace("=", "?"))
    capsys.readouterr()
    for content, mode in itertools.product(damaged, (0o600, 0o644)):
        path.write_text(content)
        path.chmod(mode)
        assert outcome(("keys", "list")) == 1
        out, err = capsys.readouterr()
        assert err.count("\n") == 1
        assert not any(piece in out + err for secret in stored for piece in spellings(secret))


def _named(command: str) -> str:
    if "KEY" not in command:
        return command
    return command.replace("KEY", next(key.id for key in load(Path("var/keys.json")).keys if not key.current))
