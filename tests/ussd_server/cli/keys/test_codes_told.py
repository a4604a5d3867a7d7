"""`ussd-server subscriber show` and `unlock` tell of a code that no key opens."""

from typing import Any

import pytest

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import MSISDN, NOW, PATH, kept, lost_keys, noted
from ussd_server.cli import subscriber as subscriber_command
from ussd_server.cli.program import outcome
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import load, save
from ussd_server.stores.base import Change, Everything, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Access, SealedCode
from ussd_server.subscribers.record import Subscriber


def test_a_code_that_no_key_opens_is_told_as_that(
    said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the keys in the data directory, or where it has none, as at a support desk, of those of the servers."""
    lost = lost_keys()
    monkeypatch.setattr(subscriber_command, "now", lambda: NOW)

    def shown() -> str:
        capsys.readouterr()
        assert outcome(("subscriber", "show", MSISDN)) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("code"))[4:].strip()

    valid, kek = "valid, issued 2025-11-23 07:00:00Z", lost.current("kek").id
    assert shown() == valid
    save(PATH, lost.rotate("kek", NOW))
    assert shown() == valid
    PATH.unlink()
    said("init", "--force")
    assert (
        shown()
        == f"{valid}, but var lacks {kek}, which the store's servers have: put their keys.json there, and keep its own"
    )
    said("adopt", "--yes")
    assert shown() == f"{valid}, but no key in var opens it, for it is under {kek}"
    PATH.unlink()
    assert shown() == f"{valid}, but no key of the store's servers opens it, for it is under {kek}"
    noted("")
    assert shown() == valid  # nobody knows


def locked_under(kid: str) -> None:
    access = Access(sealed=SealedCode(kid, b"s" * 16, b"b" * 72), issued_at=NOW, locked_until=4_000_000_000_000)
    kept(Everything(Subscriber(MSISDN, access=access)))


def test_who_is_let_in_again_is_told_where_the_old_code_does_not_work(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    said("init")
    locked_under("kek-gone")
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert capsys.readouterr().out == (
        f"{MSISDN}: access is open, but a new code is to be ordered: no key in var opens it, for it is under "
        "kek-gone.\n"
    )


def test_who_is_let_in_again_orders_no_new_code_where_the_keys_here_only_lag(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    said("init")
    newer = load(PATH).rotate("kek", NOW)
    noted(note(newer))
    kek = newer.current("kek").id
    locked_under(kek)
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert capsys.readouterr().out == (
        f"{MSISDN}: access is open, the old code works again at servers that have its key: var lacks {kek}, which the "
        "store's servers have: put their keys.json there, and keep its own.\n"
    )


def test_an_unlock_that_is_done_does_not_fail_for_what_is_said_of_it(
    said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said("init")
    noted("{")
    locked_under("kek-gone")
    committed: list[Change] = []
    commit, load_record, noted_keys = SqliteStore.commit, SqliteStore.load, SqliteStore.noted_keys

    async def committing(store: SqliteStore, change: Change) -> bool:
        committed.append(change)
        return await commit(store, change)

    def until_committed(read: Any) -> Any:
        async def reading(store: SqliteStore, *what: Any) -> Any:
            if committed:
                raise StoreUnavailable("away")
            return await read(store, *what)

        return reading

    monkeypatch.setattr(SqliteStore, "commit", committing)
    monkeypatch.setattr(SqliteStore, "load", until_committed(load_record))
    monkeypatch.setattr(SqliteStore, "noted_keys", until_committed(noted_keys))
    assert outcome(("subscriber", "unlock", MSISDN, "--reason", "called")) == 0
    assert "access is open, but a new code is to be ordered" in capsys.readouterr().out
    assert len(committed) == 1
