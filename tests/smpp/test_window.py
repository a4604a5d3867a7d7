"""So many requests are under way, and the others wait in line, whichever way they were given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.constants import CommandId
from smpp.events import Event, Expired, Ignored, Lost, Responded
from smpp.link import LinkSettings
from smpp.pdu import Message, MessageResp, Packed, encode
from smpp.states import Role
from smpp.window import LAST_SEQUENCE
from tests.smpp.links import SUBMIT, bound, written


@given(
    st.sampled_from([CommandId.BIND_TRANSCEIVER, CommandId.BIND_RECEIVER]),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, LAST_SEQUENCE), st.binary(max_size=3)), max_size=6),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
)
def test_answers_are_responses_and_urgent_messages(
    bind: CommandId, under_way: int, answers: list[tuple[int, bytes]], held: bool, before_the_last: int, leaving: bool
) -> None:
    outcomes: list[Any] = []
    for together in (True, False):
        link = bound(Role.ESME, bind, LinkSettings(window=4, queue=2))
        link._window.sequence = LAST_SEQUENCE - before_the_last
        for number in range(under_way):
            link.send(SUBMIT, number, 1)
        if held:
            link.hold(100, 1)
        if leaving:
            link.unbind(1, 50)
        link.timer()
        events: list[Event] = []
        if together:
            events = link.answer([(delivered, body, tag) for tag, (delivered, body) in enumerate(answers)], 2)
        else:
            for tag, (delivered, body) in enumerate(answers):
                assert link.respond(Message(CommandId.DELIVER_SM, delivered)) or link.closed
                if not link.send(Packed(CommandId.SUBMIT_SM, body), tag, 2, urgent=True):
                    events.append(Lost(tag, False))
        told = (events, link.take(), link.in_flight, link.urgent, link.requested, link.timers.sooner, link.timer())
        outcomes.append((told, link.lost(3)))
    assert outcomes[0] == outcomes[1]


@given(
    st.sampled_from([CommandId.BIND_TRANSCEIVER, CommandId.BIND_RECEIVER]),
    st.integers(0, 5),
    st.lists(st.binary(max_size=3), max_size=6),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_what_is_submitted_together_goes_as_each_by_itself(
    bind: CommandId, under_way: int, bodies: list[bytes], held: bool, before_the_last: int, leaving: bool, brief: bool
) -> None:
    outcomes: list[Any] = []
    for together in (True, False):
        link = bound(Role.ESME, bind, LinkSettings(window=4, queue=2))
        link._window.sequence = LAST_SEQUENCE - before_the_last
        for number in range(under_way):
            link.send(SUBMIT, number, 1)
        if held:
            link.hold(100, 1)
        if leaving:
            link.unbind(1, 50)
        link.timer()
        every = [Packed(CommandId.SUBMIT_SM, body) for body in bodies]
        left = link.submit(every, 2, brief) if together else [one for one in every if not link.send(one, one, 2)]
        told = (left, link.take(), link.in_flight, link.queued, link.requested, link.timers.sooner, link.timer())
        outcomes.append((told, link.lost(3)))
    assert outcomes[0] == outcomes[1]


def test_no_more_than_the_window_is_under_way_and_urgent_ones_overtake() -> None:
    link = bound(Role.ESME)
    for tag in ("a", "b", "c", "d"):
        assert link.send(SUBMIT, tag, 0)
    assert link.send(SUBMIT, "urgent", 0, urgent=True)
    assert not link.send(SUBMIT, "one too many", 0)
    assert (link.in_flight, link.queued) == (2, 3)
    order: list[Any] = []
    for sequence in range(2, 7):
        order += link.receive(encode(MessageResp(CommandId.SUBMIT_SM_RESP, sequence)), 1)
        assert link.in_flight <= 2
    assert [event.tag if isinstance(event, Responded) else event for event in order] == ["a", "b", "urgent", "c", "d"]
    assert [pdu.sequence for pdu in written(link)] == [2, 3, 4, 5, 6]


def test_a_request_without_an_answer_expires_and_makes_room() -> None:
    link = bound(Role.ESME)
    for tag in ("a", "b", "c"):
        link.send(SUBMIT, tag, 10)
    link.take()
    assert link.timer() == 60
    assert link.tick(59) == []
    assert link.tick(60) == [Expired("a"), Expired("b")]
    assert [pdu.sequence for pdu in written(link)] == [4]
    late = MessageResp(CommandId.SUBMIT_SM_RESP, 2)
    assert link.receive(encode(late), 61) == [Ignored(late)]


def test_a_held_queue_waits_in_order_while_urgent_ones_go() -> None:
    link = bound(Role.ESME)
    link.hold(30, 0)
    link.send(SUBMIT, "a", 0)
    link.send(SUBMIT, "b", 0)
    link.send(SUBMIT, "urgent", 0, urgent=True)
    assert len(written(link)) == 1
    assert link.timer() == 30
    assert link.tick(30) == []
    assert [pdu.sequence for pdu in written(link)] == [3]


def test_sequence_numbers_start_again_at_one() -> None:
    link = bound(Role.ESME)
    link._window.sequence = LAST_SEQUENCE - 1
    link.send(SUBMIT, "a", 0)
    link.send(SUBMIT, "b", 0)
    assert [pdu.sequence for pdu in written(link)] == [LAST_SEQUENCE, 1]


def test_what_does_not_fit_is_refused_when_it_is_sent_not_later() -> None:
    link = bound(Role.ESME)
    for _ in range(3):
        link.send(SUBMIT, "x", 0)
    with pytest.raises(ValueError):
        link.send(Message(CommandId.SUBMIT_SM, source_addr="\0"), "wrong", 0)
    assert link.queued == 1
