"""Who may be a terminal: every standing and every change of it, as the table says, and over a store."""

import asyncio
import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from nacl.signing import SigningKey

from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.terminals import registry
from ussd_server.terminals.budgets import HOUR_MS
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.registry import Malformed, Refused, Wanted

NOW = 1_763_881_200_000


def public(number: int) -> bytes:
    return bytes(SigningKey(number.to_bytes(32, "big")).verify_key)


def added(*numbers: int) -> Terminal:
    """Return an active terminal with these keys."""
    terminal: Terminal | Refused | None = None
    for number in numbers:
        assert not isinstance(terminal, Refused)
        terminal = registry.add(terminal, "hall-1", public(number), NOW)
    assert isinstance(terminal, Terminal)
    return terminal


ACTIVE = added(1)
QUARANTINED = replace(ACTIVE, standing="quarantined", since=NOW, reason="why", wrong=(NOW,))
REVOKED = replace(ACTIVE, standing="revoked", keys=(), since=NOW, wrong=(NOW,))
KEY = registry.key_id(public(1))


def test_a_key_is_named_after_itself() -> None:
    assert registry.key_id(b"a" * 32) == hashlib.sha256(b"a" * 32).hexdigest()[:8]
    assert ACTIVE.keys[0].id == KEY
    assert ACTIVE.keys[0].public == public(1)


def test_a_new_terminal_is_active_named_after_itself_and_has_the_usual_budgets() -> None:
    assert Terminal("hall-1", "hall-1", ACTIVE.keys, NOW, "active", NOW) == ACTIVE
    named = registry.add(None, "hall-1", public(1), NOW, Wanted("Main hall", 5, 7))
    assert isinstance(named, Terminal)
    assert (named.name, named.wrong_an_hour, named.orders_an_hour) == ("Main hall", 5, 7)


def test_a_second_key_overlaps_and_the_rest_stays_unless_it_is_said() -> None:
    before = replace(ACTIVE, name="Main hall", wrong_an_hour=5, wrong=(NOW,))
    after = registry.add(before, "hall-1", public(2), NOW + 1)
    assert isinstance(after, Terminal)
    assert [key.added_at for key in after.keys] == [NOW, NOW + 1]
    assert replace(after, keys=before.keys) == before
    other = registry.add(before, "hall-1", public(2), NOW + 1, Wanted(name="Yard"))
    assert other == replace(after, name="Yard")


def test_a_quarantined_terminal_takes_a_key_and_stays_quarantined() -> None:
    after = registry.add(QUARANTINED, "hall-1", public(2), NOW)
    assert isinstance(after, Terminal)
    assert (after.standing, after.reason, len(after.keys)) == ("quarantined", "why", 2)


def test_a_revoked_terminal_begins_anew_with_the_new_key_alone() -> None:
    after = registry.add(replace(REVOKED, name="Main hall"), "hall-1", public(2), NOW + 5)
    assert isinstance(after, Terminal)
    assert [key.public for key in after.keys] == [public(2)]
    assert after == Terminal("hall-1", "Main hall", after.keys, NOW + 5, "active", NOW + 5)


def test_no_key_twice_and_no_more_than_four() -> None:
    assert registry.add(ACTIVE, "hall-1", public(1), NOW) == Refused(f"hall-1 has the key {KEY} already")
    four = added(1, 2, 3, 4)
    refused = registry.add(four, "hall-1", public(5), NOW)
    assert isinstance(refused, Refused)
    assert refused.why.startswith("hall-1 has 4 keys;")


@pytest.mark.parametrize(
    "octets", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31), b"\xff" * 32], ids=lambda each: each.hex()[:4]
)
def test_what_is_no_public_key_is_refused(octets: bytes) -> None:
    assert registry.add(None, "hall-1", octets, NOW) == Malformed("the key is no Ed25519 public key of 32 octets")


@pytest.mark.parametrize("id", ["", "Hall", "hall 1", "hall/1", "hall_1", "зал", "hall-1\n", "a" * 33])
def test_ids_are_short_and_plain(id: str) -> None:
    assert isinstance(registry.add(None, id, public(1), NOW), Refused)


@given(st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=32))
def test_every_plain_id_is_taken(id: str) -> None:
    assert isinstance(registry.add(None, id, public(1), NOW), Terminal)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(name=""),
        Wanted(name=" "),
        Wanted(name="a" * 65),
        Wanted(name="a\nb"),
        Wanted(wrong_an_hour=0),
        Wanted(orders_an_hour=0),
        Wanted(wrong_an_hour=100_001),
    ],
)
def test_names_are_for_people_and_budgets_are_numbers(wanted: Wanted) -> None:
    assert isinstance(registry.add(None, "hall-1", public(1), NOW, wanted), Refused)


def test_name_and_budgets_are_adjusted_alone() -> None:
    assert registry.adjust(ACTIVE, Wanted("Yard", 5, 7), NOW + 5) == replace(
        ACTIVE, name="Yard", wrong_an_hour=5, orders_an_hour=7
    )
    assert registry.adjust(QUARANTINED, Wanted(wrong_an_hour=1), NOW + 5) == replace(QUARANTINED, wrong_an_hour=1)
    assert registry.adjust(ACTIVE, Wanted(name=""), NOW) == Malformed("a name has 1 to 64 printable characters")
    assert isinstance(registry.adjust(REVOKED, Wanted("Yard"), NOW), Refused)


@pytest.mark.parametrize(
    ("budget", "later", "standing"),
    [(3, 0, "quarantined"), (2, 0, "quarantined"), (4, 0, "active"), (3, HOUR_MS, "active"), (None, 0, "active")],
)
def test_a_budget_that_is_used_up_already_quarantines_as_its_last_entry_would_have(
    budget: int | None, later: int, standing: str
) -> None:
    terminal = replace(ACTIVE, wrong=(NOW, NOW, NOW), wrong_an_hour=20 if budget else 3)
    adjusted = registry.adjust(terminal, Wanted("Yard", budget), NOW + later)
    assert isinstance(adjusted, Terminal)
    assert (adjusted.name, adjusted.standing, adjusted.wrong) == ("Yard", standing, terminal.wrong)
    assert adjusted.reason == ("3 wrong entries in an hour" if standing == "quarantined" else "")


def test_an_old_key_goes_and_the_last_one_stays() -> None:
    two = added(1, 2)
    assert registry.remove_key(two, KEY) == replace(two, keys=two.keys[1:])
    assert isinstance(registry.remove_key(ACTIVE, KEY), Refused)
    assert registry.remove_key(two, "00000000") == Refused("hall-1 has no key 00000000")


def test_the_standing_changes_as_the_table_says() -> None:
    later = NOW + 5
    assert registry.revoke(ACTIVE, "stolen", later) == replace(
        ACTIVE, keys=(), standing="revoked", since=later, reason="stolen"
    )
    assert isinstance(registry.revoke(QUARANTINED, "", later), Terminal)
    assert registry.quarantine(ACTIVE, "open", later) == replace(
        ACTIVE, standing="quarantined", since=later, reason="open"
    )
    assert registry.lift(QUARANTINED, later) == replace(ACTIVE, since=later)
    for refused in (
        registry.remove_key(REVOKED, KEY),
        registry.revoke(REVOKED, "", later),
        registry.quarantine(QUARANTINED, "again", later),
        registry.quarantine(REVOKED, "why", later),
        registry.quarantine(ACTIVE, "", later),
        registry.quarantine(ACTIVE, "a" * 201, later),
        registry.lift(ACTIVE, later),
        registry.lift(REVOKED, later),
    ):
        assert isinstance(refused, Refused)
        assert "\n" not in refused.why


def test_a_change_is_made_on_the_latest_record_whatever_else_changes_it(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "store.db")
        try:
            alters = [
                lambda terminal, number=number: registry.add(terminal, "hall-1", public(number), NOW)
                for number in (1, 2, 3)
            ]
            results = await asyncio.gather(*(registry.change(store, "hall-1", alter) for alter in alters))
            assert all(isinstance(each, Terminal) for each in results)
            kept, _ = await store.load_terminal("hall-1")
            assert kept is not None
            assert {key.public for key in kept.keys} == {public(1), public(2), public(3)}
        finally:
            await store.close()

    asyncio.run(story())


def test_an_unknown_terminal_and_one_that_never_rests_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "store.db")
        try:
            lift = registry.known(lambda terminal: registry.lift(terminal, NOW), "hall-9")
            assert await registry.change(store, "hall-9", lift) == Refused("there is no terminal hall-9")
            assert await store.commit_terminal(ACTIVE, 0)
            tries = []

            class Restless:
                """The store, on which somebody else is always faster."""

                async def load_terminal(self, id: str) -> tuple[Terminal | None, int]:
                    found, version = await store.load_terminal(id)
                    tries.append(version)
                    assert found is not None
                    assert await store.commit_terminal(replace(found, wrong=(NOW,)), version)
                    return found, version

                commit_terminal = store.commit_terminal

            refused = await registry.change(
                Restless(),  # type: ignore[arg-type]
                "hall-1",
                registry.known(lambda terminal: registry.quarantine(terminal, "why", NOW), "hall-1"),
            )
            assert refused == Refused("hall-1 is being changed all the time; try again")
            assert len(tries) == registry.MAX_CONFLICTS
        finally:
            await store.close()

    asyncio.run(story())
