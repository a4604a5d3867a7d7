"""USSD inputs and the ways that they had, read from a ledger."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.dialogues import AFTER_MS, Ways, steps
from tests.chaos.ledger import Acknowledged, Event, Happened, Linked, Screen, Sent, Unlinked
from tests.chaos.lives import Lives

AT = 1_800_000_000_000
PHONE = "79120000000"
UNTIL = AT + 15_000

TIMES = st.integers(AT, UNTIL)
FAULTS = st.builds(
    Happened,
    at=TIMES,
    kind=st.sampled_from(["pause", "silent link", "slow disk", "full disk", "kill"]),
    target=st.sampled_from(["server 1", "store", "smsc"]),
    span=st.integers(0, 6_000),
)


def in_order(*events: Event) -> list[Event]:
    """Return events by their time, the first link before all."""
    return [Linked(AT - 1, "1"), *sorted(events, key=lambda event: event.at)]


def test_a_screen_is_of_the_inputs_of_its_dialogue_that_it_can_answer() -> None:
    """A screen belongs to what was sent since the dialogue was dialled and expects such a one; excuses suit all."""
    asked = [
        Sent(AT, 1, PHONE, "ussd", "balance", "*100#", 5, ("balance",)),
        Sent(AT, 2, PHONE, "ussd", "step", "*111#", 5, ("menu",)),
        Sent(AT, 3, PHONE, "ussd", "step", "1", 5, ("balance",)),
        Acknowledged(AT, 3, 1, "1"),
    ]
    balance = Screen(AT, PHONE, 5, "Баланс: 7 руб.", True, "1")
    broken = Screen(AT, PHONE, 5, "Что-то сломалось у нас. Деньги не списаны. Попробуйте позже.", True, "2")
    late = Screen(AT, PHONE, 6, "Баланс: 7 руб.", True, "1")
    first, second, third = steps([*asked, balance, broken, late], Lives([]))
    assert first.shown == []
    assert second.shown == [broken]
    assert third.shown == [balance, broken]
    assert third.answered
    assert not second.answered


@given(st.lists(FAULTS, max_size=8), FAULTS)
def test_a_fault_more_never_frees_time(faults: list[Happened], another: Happened) -> None:
    """What is free is a part of the time, and a part of what is free without one of the faults."""
    free = Ways(in_order(*faults)).free(AT, UNTIL)
    assert 0 <= Ways(in_order(*faults, another)).free(AT, UNTIL) <= free <= UNTIL - AT


@given(st.lists(FAULTS, max_size=4), TIMES)
def test_times_add_up(faults: list[Happened], between: int) -> None:
    """What is free of a time is what is free of its parts."""
    ways = Ways(in_order(*faults))
    assert ways.free(AT, between) + ways.free(between, UNTIL) == ways.free(AT, UNTIL)


def test_a_fault_hinders_until_it_is_worked_off() -> None:
    """A pause takes its own time and some more; the kill of a server takes what it takes from the links alone."""
    assert Ways(in_order(Happened(AT, "pause", "smsc", 0, 2_000))).free(AT, UNTIL) == 15_000 - 2_000 - AFTER_MS
    assert Ways(in_order(Happened(AT, "kill", "server 1", 1, 700))).free(AT, UNTIL) == 15_000


def test_without_a_link_there_is_no_way() -> None:
    """Only the time counts in which no link at all is bound; those of a killed SMSC are gone with it."""
    gap = in_order(Unlinked(AT + 1_000, "1"), Linked(AT + 4_000, "2"))
    assert Ways(gap).free(AT, UNTIL) == 12_000
    assert Ways(in_order(Linked(AT + 500, "2"), Unlinked(AT + 1_000, "1"))).free(AT, UNTIL) == 15_000
    killed = in_order(Happened(AT, "kill", "smsc", 1), Linked(AT + 4_001, "3"), Unlinked(AT + 4_000, "1"))
    ways = Ways(killed)
    assert ways.free(AT, UNTIL) == 15_000 - 4_001
    assert ways.ends("1", AT - 5, 5)
    assert not ways.ends("1", AT - 5, 4)
    assert not ways.ends("3", AT, 99_000)
    assert ways.ended == 1
