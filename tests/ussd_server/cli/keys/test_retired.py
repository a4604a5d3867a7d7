"""`ussd-server keys retire`: a key goes when nothing needs it any more, or by force."""

import pytest

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import (
    CODE,
    DAY_MS,
    MSISDN,
    NOW,
    PATH,
    Clock,
    code,
    damage,
    kept,
    listed,
    noted,
    put,
)
from ussd_server.cli.keys import Rotated
from ussd_server.cli.program import outcome
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import load, save
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import DeadLetter, Everything, KeptAnswer, OutboxEntry, Standing
from ussd_server.subscribers.record import Subscriber


def test_a_key_is_retired_when_nothing_needs_it(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH)
    kek = old.current("kek").id
    put(Vault(old).seal(CODE, MSISDN, 1))
    save(PATH, old.rotate("kek", NOW))  # as an interrupted rotation leaves it

    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} is still needed: it seals 1 code, to be moved with: ussd-server keys rewrap; "
        "or lose that with --force\n"
    )
    assert said("rewrap") == 0
    clock.at = NOW + 25 * 3_600_000 - 1
    assert said("retire", kek) == 1
    assert "replaced less than 25 hours ago, wait until 2025-11-24 08:00:00Z" in said.err
    clock.at += 1
    assert said("retire", kek) == 0
    assert load(PATH).get(kek) is None
    assert Vault(load(PATH)).check(code(), CODE, MSISDN, 1).right


def test_a_kek_stays_while_records_cannot_be_read_and_these_are_found(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH)
    kek = old.current("kek").id
    put(Vault(old).seal(CODE, MSISDN, 1))
    numbers = [f"7910123900{last}" for last in range(7)]
    damage(*numbers)

    assert said("rotate", "kek") == 1
    assert "1 code moved" in said.out
    records = (
        "7 subscribers whose records are damaged: 7910***9000, 7910***9001, 7910***9002, 7910***9003, 7910***9004 "
        "and 2 more (in full: ussd-server keys list --numbers); go back to a copy of the store, or give them up with: "
        "ussd-server subscriber forget"
    )
    assert said.err == f"error: nothing was moved of {records}\n"
    clock.at = NOW + 2 * DAY_MS
    assert listed(said, kek)[-2:] == ["0", "0"]
    assert said.lines[-1] == f"nothing was counted of {records}"
    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} may still be needed: nobody knows what it seals of {records}; or lose that with --force\n"
    )

    assert said("list", "--numbers") == 0
    assert f"damaged: {', '.join(numbers)}; " in said.lines[-1]
    for msisdn in numbers[1:]:
        assert outcome(["subscriber", "forget", msisdn, "--yes"]) == 0
    assert said("retire", kek) == 1
    assert "of 1 subscriber whose record is damaged: 7910***9000 (in full" in said.err
    assert outcome(["subscriber", "forget", numbers[0], "--yes"]) == 0
    assert said("retire", kek) == 0


def test_a_kek_that_was_made_long_before_it_was_in_use_still_seals_what_no_rewrap_moves(
    said: Said, clock: Clock
) -> None:
    """With several data directories the key is made elsewhere, and may lie there for days before servers have it."""
    said("init")
    old = load(PATH)
    kek, vault = old.current("kek").id, Vault(old)
    waits = OutboxEntry("w", "sms", NOW, {"sealed": vault.seal_text(CODE, MSISDN, "w")}, expires=NOW + 7 * DAY_MS)
    given_up = DeadLetter(
        MSISDN, "g", "sms", {"sealed": vault.seal_text(CODE, MSISDN, "g")}, NOW, NOW + 1, 3, "it was tried long enough"
    )
    record = Subscriber(MSISDN, letters=vault.seal_letters(b"parts", MSISDN))
    answer = KeptAnswer("t", "k", b"f", vault.seal_answer(b"{}", "t", "k"), NOW + DAY_MS)
    kept(Everything(record, outbox=[Standing(waits, NOW, 0)], dead_letters=[given_up], answers=[answer]))
    save(PATH, old.rotate("kek", NOW - 2 * DAY_MS))
    assert listed(said, kek)[-2:] == ["0", "4"]
    assert said("retire", kek) == 1
    assert said.err == (
        f"error: {kek} is still needed: it seals the parts of 1 SMS that is not whole, kept for an hour; 1 SMS with a "
        "code in the outbox, sent or given up by 2025-11-30 07:00:00Z; 1 SMS with a code, given up, to be tried again "
        "or thrown away: ussd-server dead-letters list; 1 answer kept for terminals until 2025-11-24 07:00:00Z; or "
        "lose that with --force\n"
    )
    assert load(PATH).get(kek) is not None
    # Each alone is enough, and so is none.
    for alone in (
        Everything(record),
        Everything(Subscriber(MSISDN), outbox=[Standing(waits, NOW, 0)]),
        Everything(Subscriber(MSISDN), dead_letters=[given_up]),
        Everything(Subscriber(MSISDN), answers=[answer]),
    ):
        kept(alone)
        assert said("retire", kek) == 1
    kept(Everything(Subscriber(MSISDN)))
    assert said("retire", kek) == 0
    assert "holds nothing under it" in said.out


@pytest.mark.parametrize("kind", ["kek", "transport", "signing"])
def test_a_key_is_kept_for_as_long_after_the_servers_had_the_next_one_however_old_that_is(
    kind: Rotated, said: Said, clock: Clock
) -> None:
    said("init")
    old = load(PATH)
    id = old.current(kind).id
    noted(note(old))  # as the start of a server does
    save(PATH, old.rotate(kind, clock.at))  # copied into place two days later
    clock.at += 2 * DAY_MS
    for _ in range(2):
        assert said("retire", id) == 1
        assert "replaced less than 25 hours ago, wait until 2025-11-26 08:00:00Z" in said.err
        clock.at += 25 * 3_600_000 - 1
    clock.at = NOW + 2 * DAY_MS + 25 * 3_600_000
    assert said("retire", id) == 0


@pytest.mark.parametrize("kind", ["kek", "transport", "signing"])
def test_a_key_that_was_just_replaced_is_retired_by_force_alone(kind: str, said: Said, clock: Clock) -> None:
    said("init")
    old = next(key.id for key in load(PATH).keys if key.kind == kind)
    assert said("retire", old) == 1
    assert said.err == f"error: {old} is in use; rotate first: ussd-server keys rotate {kind}\n"
    assert said("retire", old, "--force") == 1
    noted("")
    said("rotate", kind)
    clock.at += 3_600_000
    assert said("retire", old) == 1
    assert said("retire", old, "--force") == 0
    assert load(PATH).get(old) is None


def test_an_unknown_key_is_said(said: Said) -> None:
    said("init")
    assert said("retire", "kek-none") == 1
    assert said.err == "error: there is no key kek-none; see: ussd-server keys list\n"
