"""A repeated delivery is told from a repeated answer by what SMPP leaves to go by."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.render import Channel
from ussd_server.channels.base import Answer, Input
from ussd_server.subscribers.record import Exchange
from ussd_server.turns.redelivery import SMS_REMEMBERED, USSD_WINDOW_MS, is_repetition, place, remember

TYPED = b"digest of 1"
LAST = Exchange(
    dialogue="a/7", link="x1", sequence=40, step=-1, counts=False, at=1_000, input=TYPED, text="menu", ends=False
)


def heard(**changed: object) -> Input:
    """Return the same text on the same link a second later, in another PDU, after our answer was accepted."""
    usual = {
        "msisdn": "79100000001",
        "channel": Channel("ussd"),
        "kind": "reply",
        "text": "1",
        "account": "a",
        "dialogue": "a/7",
        "link": "x1",
        "sequence": 41,
        "at": 2_000,
        "step": -1,
        "accepted": True,
    }
    return Input(**(usual | changed))  # type: ignore[arg-type]


def repeats(last: Exchange = LAST, typed: bytes = TYPED, **changed: object) -> bool:
    return is_repetition(last, heard(**changed), typed)


@pytest.mark.parametrize("changed", [{"dialogue": "a/8"}, {"typed": b"of 2"}, {"at": 1_001 + USSD_WINDOW_MS}])
def test_another_dialogue_text_or_day_is_new_whatever_else_is_the_same(changed: dict[str, object]) -> None:
    assert not repeats(**({"sequence": 40, "accepted": False} | changed))


def test_the_same_pdu_on_the_same_link_is_a_repetition() -> None:
    assert repeats(sequence=40)


def test_the_same_answer_to_a_screen_that_the_gateway_took_is_new() -> None:
    assert not repeats()


def test_the_same_text_before_the_gateway_took_our_answer_is_a_repetition() -> None:
    assert repeats(accepted=False)


def test_the_same_text_over_a_new_link_is_a_repetition() -> None:
    assert repeats(link="x2", sequence=1)


def test_the_same_text_over_another_bind_is_new_where_the_gateway_took_our_answer_on_the_first() -> None:
    assert not repeats(link="x2", sequence=1, others=("x1", "x3"))
    assert not repeats(link="x2", sequence=1, others=("x1",), accepted=False)
    assert repeats(link="x2", sequence=1, others=("x3",))
    assert repeats(others=("x2",), accepted=False)


def test_where_the_network_counts_its_count_decides() -> None:
    last = msgspec.structs.replace(LAST, step=2, counts=True)
    assert repeats(last, step=2)
    assert not repeats(last, step=3, accepted=False)


def test_a_constant_count_decides_nothing() -> None:
    last = msgspec.structs.replace(LAST, step=0)
    assert not repeats(last, step=0)
    assert repeats(last, step=0, accepted=False)


def counts(last: Exchange | None, **changed: object) -> bool:
    return remember({}, "ussd", last, heard(**changed), TYPED, Answer("menu"))["ussd"].counts


def test_a_network_counts_once_its_count_was_seen_to_change_within_a_dialogue() -> None:
    first = msgspec.structs.replace(LAST, step=0)
    assert not counts(None, step=0)
    assert not counts(first, step=0)
    assert counts(first, step=1)
    assert not counts(first, step=1, dialogue="a/8")
    assert counts(msgspec.structs.replace(first, counts=True), step=0)


def test_what_is_remembered_is_known_again() -> None:
    kept = remember({"ussd": LAST}, "ussd", LAST, heard(), TYPED, Answer("menu", ends=False))["ussd"]
    assert is_repetition(kept, heard(), TYPED)
    assert (kept.text, kept.ends) == ("menu", False)


def test_sms_are_known_again_by_their_text_and_the_oldest_are_forgotten() -> None:
    exchanges: dict[str, Exchange] = {"ussd": LAST}
    for number in range(20):
        written = heard(kind="message", text=str(number), at=1_000 + number)
        name = place(written, b"%d" % number)
        exchanges = remember(exchanges, name, None, written, b"%d" % number, Answer(None))
    assert len(exchanges) == 1 + SMS_REMEMBERED
    assert place(heard(kind="message"), b"19") in exchanges
    assert place(heard(kind="message"), b"0") not in exchanges
    late = heard(kind="message", at=10_000_000)
    exchanges = remember(exchanges, place(late, b"x"), None, late, b"x", Answer(None))
    assert set(exchanges) == {"ussd", place(late, b"x")}


@given(st.integers(0, 127), st.booleans(), st.sampled_from(["x1", "x2"]), st.integers(1, 3))
def test_a_counting_network_never_loses_an_answer(step: int, accepted: bool, link: str, sequence: int) -> None:
    last = msgspec.structs.replace(LAST, step=step, counts=True, sequence=9)
    assert not repeats(last, step=(step + 1) % 128, accepted=accepted, link=link, sequence=sequence)
