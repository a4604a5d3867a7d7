"""What a terminal may use up in any hour, whenever it uses it; the models count from the whole history."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.terminals.budgets import (
    HOUR_MS,
    entries_left,
    ordered,
    orders_again_at,
    orders_left,
    used,
    wrong_entry,
)
from ussd_server.terminals.record import Terminal, decode, encode

TERMINAL = Terminal("t", "Hall", wrong_an_hour=3, orders_an_hour=2)
steps = st.lists(st.integers(0, HOUR_MS), max_size=30)
"""Milliseconds between two uses."""


@given(steps, st.integers(1, 5))
def test_the_last_entry_of_any_hour_quarantines_and_none_before(waits: list[int], budget: int) -> None:
    terminal, now, wrong = Terminal("t", "Hall", wrong_an_hour=budget), 1_800_000_000_000, list[int]()
    for wait in waits:
        now += wait
        in_the_hour = [at for at in wrong if now - at < HOUR_MS]
        assert entries_left(terminal, now) == budget - len(in_the_hour) > 0
        terminal = wrong_entry(terminal, now)
        wrong.append(now)
        if len(in_the_hour) + 1 >= budget:
            assert (terminal.standing, terminal.since) == ("quarantined", now)
            assert terminal.reason == f"{budget} wrong entries in an hour"
            return
        assert terminal.standing == "active"
    assert len(terminal.wrong) <= budget


@given(steps, st.integers(1, 5))
def test_in_no_hour_more_codes_are_ordered_than_allowed(waits: list[int], budget: int) -> None:
    terminal, now, taken = Terminal("t", "Hall", orders_an_hour=budget), 1_800_000_000_000, list[int]()
    for wait in waits:
        now += wait
        again_at = orders_again_at(terminal, now)
        in_the_hour = [at for at in taken if now - at < HOUR_MS]
        assert (again_at == 0) == (len(in_the_hour) < budget)
        assert orders_left(terminal, now) == budget - len(in_the_hour)
        if again_at:
            assert orders_again_at(terminal, again_at) == 0 != orders_again_at(terminal, again_at - 1)
        else:
            terminal = ordered(terminal, now)
            taken.append(now)
        assert len(terminal.orders) <= budget


def test_wrong_entries_of_a_terminal_that_is_no_longer_active_change_no_standing() -> None:
    terminal = Terminal("t", "Hall", standing="revoked", since=7, reason="stolen", wrong_an_hour=1)
    counted = wrong_entry(terminal, 1_000)
    assert (counted.standing, counted.since, counted.reason, counted.wrong) == ("revoked", 7, "stolen", (1_000,))


def test_a_clock_that_is_set_back_gives_no_entry_back() -> None:
    terminal = wrong_entry(wrong_entry(TERMINAL, 10 * HOUR_MS), 2 * HOUR_MS)
    assert entries_left(terminal, 2 * HOUR_MS) == 1
    assert wrong_entry(terminal, HOUR_MS).standing == "quarantined"


def test_what_the_last_hour_used_is_told() -> None:
    terminal = ordered(wrong_entry(wrong_entry(TERMINAL, 0), HOUR_MS - 1), 5)
    assert used(terminal, HOUR_MS - 1) == (2, 1)
    assert used(terminal, HOUR_MS) == (1, 1)


def test_what_was_counted_is_stored_with_the_terminal() -> None:
    terminal = ordered(wrong_entry(TERMINAL, 5), 6)
    assert decode(encode(terminal)) == terminal
