"""A terminal's file is its owner's alone, and says in one line what is wrong with it."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals.credentials import Credentials, CredentialsError, create, load, save

CREDENTIALS = Credentials(
    "hall-1", "5f0c9a1e", Secret(b"p" * 32), "https://terminals.example", {"signing-1": b"s" * 32}
)
STORED = {
    "version": 1,
    "terminal": "hall-1",
    "key": "5f0c9a1e",
    "private": "cHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHA=",
    "url": "https://terminals.example",
    "signing": {"signing-1": "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M="},
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({name: value for name, value in (STORED | changes).items() if value is not None}))
    path.chmod(0o600)
    return path


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    create(tmp_path / "t.json", CREDENTIALS)
    assert json.loads((tmp_path / "t.json").read_text()) == STORED
    assert load(write(tmp_path / "other.json")) == CREDENTIALS


def test_the_file_is_its_owners_alone_and_made_only_once(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    create(path, CREDENTIALS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(CredentialsError, match=r"is there already; choose another name, or remove it$"):
        create(path, CREDENTIALS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_new_keys_of_the_server_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    create(path, CREDENTIALS)
    newer = Credentials("hall-1", "5f0c9a1e", Secret(b"p" * 32), "", {"signing-2": b"t" * 32})
    save(path, newer)
    assert load(path) == newer
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o644])
def test_a_file_that_others_can_reach_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "t.json")
    path.chmod(mode)
    with pytest.raises(CredentialsError, match=f"chmod 600 {path}$"):
        load(path)


def test_a_missing_file_and_directory_are_said(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="terminal add ID --generate"):
        load(tmp_path / "t.json")
    for write_file in (create, save):
        with pytest.raises(CredentialsError, match="No such file or directory"):
            write_file(tmp_path / "none" / "t.json", CREDENTIALS)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"more": 1},
        {"terminal": ""},
        {"terminal": 5},
        {"key": None},
        {"private": "SECRET"},
        {"private": "U0VDUkVU"},
        {"private": 5},
        {"url": None},
        {"signing": {}},
        {"signing": {"signing-1": "U0VDUkVU"}},
        {"signing": {"signing-1": "***"}},
    ],
)
def test_what_is_no_such_file_is_said_in_one_line_without_its_content(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path / "t.json", **changes)
    with pytest.raises(CredentialsError) as caught:
        load(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert not any(part in said for part in ("\n", "SECRET", "U0VDUkVU", "cHBw"))
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_credentials_show_no_key() -> None:
    assert "pppp" not in repr(CREDENTIALS)
