"""A file that cannot be used is refused at the start, in plain words; one that can be is its owner's alone."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.ussd_server.stores.sqlite.bench import ANNA, BORIS, change, log_of, on, refusal
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore


def test_opening_says_what_is_wrong_with_the_path(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none" / "store.db") == (
        f"cannot open the store: {tmp_path}/none/store.db: the directory is missing or may not be written"
        " (unable to open database file, SQLITE_CANTOPEN)"
    )
    assert "may not be written" in refusal(tmp_path)
    text = tmp_path / "text.db"
    text.write_text("this is a text, and longer than the header of a database would be " * 20)
    assert "this is no SQLite database" in refusal(text)
    assert text.read_text().startswith("this is a text")


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE subscriber (name TEXT)")
    assert refusal(path) == f"cannot open the store: {path}: this is another program's database"


def test_the_files_are_their_owners_alone_whatever_the_umask(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        await store.ping()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob(f"{path.name}*")}
        assert modes == {f"{path.name}{end}": 0o600 for end in ("", "-wal", "-shm")}

    before = os.umask(0)
    try:
        on(path, test)
    finally:
        os.umask(before)


AS_NOBODY = """
import os, sys
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
if os.geteuid() == 0:
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        SqliteStore(path)
    except StoreUnavailable as error:
        print(error)
"""


def test_a_place_that_may_not_be_written_is_refused_at_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("shut")
    existing, new, another = place / "store.db", place / "new.db", place / "another.db"
    for path in (existing, another):
        on(path, lambda store: store.ping())
    existing.chmod(0o444)
    another.chmod(0)
    place.chmod(0o555)
    closed = [parent for parent in place.parents if not parent.stat().st_mode & stat.S_IXOTH]
    for parent in closed:
        parent.chmod(0o711)
    try:
        child = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(existing), str(new), str(another)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        place.chmod(0o755)
        for parent in closed:
            parent.chmod(0o700)
    first, second, third = child.stdout.splitlines()
    assert first.startswith(f"cannot open the store: {existing}: ")
    assert "written" in first
    assert second.startswith(f"cannot open the store: {new}: the directory is missing or may not be written")
    assert third.startswith(f"cannot open the store: {another}: the file may not be read by this user; do it as")


def test_a_log_that_was_taken_away_is_noticed(path: Path) -> None:
    async def test(store: SqliteStore) -> None:
        assert await store.commit(change(ANNA))
        log_of(path).unlink()
        with pytest.raises(StoreUnavailable, match="the disk lost a write"):
            await store.commit(change(BORIS))

    on(path, test)
