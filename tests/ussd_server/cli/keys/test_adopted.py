"""`ussd-server keys adopt`: a store goes with new keys once what only the old ones opened was told and given up."""

import io

import pytest

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import CODE, DAY_MS, MSISDN, NOW, PATH, damage, ids_of, kept, lost_keys, noted
from ussd_server.cli import keys as keys_command
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import Keyring, load
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import Everything, KeptAnswer, OutboxEntry, Standing
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


def test_a_store_goes_with_new_keys_where_the_old_are_lost_once_the_loss_is_told(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lost_keys()
    said("init", "--force")
    answers = iter([False, True])
    monkeypatch.setattr(keys_command, "confirmed", lambda question: next(answers))
    told = [
        f"The servers of sqlite:///var/ussd-server.db have {ids_of(lost)}, which are not here.",
        "No key here opens 3 codes.",
        "Owners of codes would have to order new ones, and terminals would need new files.",
        "Where a copy of their keys.json is left, bring that back instead: then nothing is lost.",
    ]
    assert said("adopt") == 1
    assert (said.lines, said.err) == (told, "error: nothing was changed\n")
    assert noted() == note(lost)
    assert said("adopt") == 0
    assert said.lines == [
        *told,
        f"sqlite:///var/ussd-server.db goes with the keys in var/keys.json. What only {ids_of(lost)} opened is lost.",
    ]
    assert noted() == note(load(PATH))
    assert said("adopt") == 0  # and asks nothing
    assert said.out == "sqlite:///var/ussd-server.db goes with the keys in var/keys.json.\n"


def test_a_loss_is_told_whole_and_given_up_without_a_question_where_that_is_said(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("init")
    lost = Keyring().completed(NOW)
    vault = Vault(lost)
    waits = OutboxEntry("w", "sms", NOW, {"sealed": vault.seal_text(CODE, MSISDN, "w")}, expires=NOW + DAY_MS)
    answers = [KeptAnswer("t", key, b"f", vault.seal_answer(b"{}", "t", key), NOW + DAY_MS) for key in "kl"]
    kept(Everything(Subscriber(MSISDN), outbox=[Standing(waits, NOW, 0)], answers=answers))
    damage("79101239000")
    noted(note(lost))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert said("adopt") == 2
    assert said.err.endswith("nobody has answered, so nothing was done; --yes does it without asking\n")
    assert noted() == note(lost)
    assert said("adopt", "--yes") == 0
    assert said.lines[1] == "No key here opens 1 SMS with a code in the outbox, 2 answers kept for terminals."
    assert said.lines[2].startswith("Nothing was counted of 1 subscriber whose record is damaged: 7910***9000 ")


def test_what_is_noted_while_a_person_thinks_is_not_given_up(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    lost_keys()
    said("init", "--force")
    newer = note(Keyring().completed(NOW))

    def thinks(question: str) -> bool:
        noted(newer)
        return True

    monkeypatch.setattr(keys_command, "confirmed", thinks)
    assert said("adopt") == 1
    assert "other keys were noted in sqlite:///var/ussd-server.db meanwhile, and nothing was changed" in said.err
    assert noted() == newer


def test_a_store_with_servers_keeps_their_keys(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_use(store: SqliteStore) -> str:
        return "process 7"

    said("init")
    noted("")
    monkeypatch.setattr(SqliteStore, "in_use", in_use)
    assert said("adopt") == 1
    assert "is in use by process 7, which has its keys in memory: find a copy of their keys.json before" in said.err


def test_keys_are_adopted_with_a_warning_where_nobody_knows_who_uses_the_store(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unseen(store: SqliteStore) -> None:
        return None

    lost_keys()
    said("init", "--force")
    monkeypatch.setattr(SqliteStore, "in_use", unseen)
    assert said("adopt", "--yes") == 0
    assert said.err.startswith("warning: it cannot be told who uses sqlite:///var/ussd-server.db: ")
    assert said.err.count("\n") == 1
    assert noted() == note(load(PATH))
