"""Who may say what when, what is answered, what is given up, and that every request has one end."""

import struct
from collections import Counter
from collections.abc import Callable
from copy import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from smpp.constants import CommandId, Status, Tag
from smpp.errors import CloseReason
from smpp.events import (
    Alerted,
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Delivered,
    Expired,
    Ignored,
    Lost,
    Nacked,
    Outbound,
    Responded,
)
from smpp.link import Link, LinkSettings
from smpp.pdu import (
    Alert,
    Bare,
    Bind,
    BindResp,
    Message,
    MessageResp,
    Outbind,
    Packed,
    Password,
    Pdu,
    Unknown,
    encode,
)
from smpp.states import Role, State
from tests.smpp.links import BIND, DELIVER, SETTINGS, SUBMIT, bound, opened, written
from tests.smpp.strategies import pdus

# Binding ----------------------------------------------------------------------------------------------------------


def test_both_sides_agree_on_a_bind() -> None:
    esme, smsc = opened(Role.ESME), opened(Role.SMSC)
    esme.bind(BIND, 0)
    (asked,) = smsc.receive(esme.take(), 0)
    assert asked == BindRequested(Bind(sequence=1, system_id="us", password=Password("secret")))
    assert isinstance(asked, BindRequested)
    response = BindResp(CommandId.BIND_TRANSCEIVER_RESP, 1, 0, "SMSC", {Tag.SC_INTERFACE_VERSION: b"\x34"})
    assert smsc.accept(asked.pdu, "SMSC", 0) == [Bound(response)]
    assert esme.receive(smsc.take(), 0) == [Bound(response)]
    assert esme.bound
    assert smsc.bound


def test_a_refused_bind_closes_both_sides() -> None:
    esme, smsc = opened(Role.ESME), opened(Role.SMSC)
    esme.bind(BIND, 0)
    (asked,) = smsc.receive(esme.take(), 0)
    assert isinstance(asked, BindRequested)
    assert smsc.refuse(asked.pdu, Status.RINVPASWD, 0) == [Closed(CloseReason.BIND_REFUSED)]
    assert esme.receive(smsc.take(), 0) == [BindRefused(Status.RINVPASWD), Closed(CloseReason.BIND_REFUSED)]
    assert esme.closed
    assert smsc.closed


def test_a_bind_may_be_refused_by_a_generic_nack() -> None:
    link = opened(Role.ESME)
    link.bind(BIND, 0)
    nack = Bare(CommandId.GENERIC_NACK, 1, Status.RINVCMDID)
    assert link.receive(encode(nack), 0) == [BindRefused(Status.RINVCMDID), Closed(CloseReason.BIND_REFUSED)]


@pytest.mark.parametrize("binds", [False, True])
@pytest.mark.parametrize("role", Role)
def test_a_connection_that_is_not_bound_in_time_is_closed(role: Role, binds: bool) -> None:
    link = opened(role)
    if binds and role is Role.ESME:
        link.bind(BIND, 0)
    elif binds:
        link.receive(encode(BIND), 0)
    assert link.timer() == 40
    assert link.tick(39) == []
    assert link.tick(40) == [Closed(CloseReason.BIND_TIMEOUT)]
    assert link.timer() is None


def test_a_second_bind_is_refused_and_the_link_lives() -> None:
    link = bound(Role.SMSC)
    (event,) = link.receive(encode(Bind(sequence=9)), 0)
    assert isinstance(event, Nacked)
    assert written(link) == [BindResp(CommandId.BIND_TRANSCEIVER_RESP, 9, Status.RALYBND)]
    assert link.bound


def test_binding_twice_or_from_the_wrong_side_is_the_callers_mistake() -> None:
    for link in (bound(Role.ESME), opened(Role.SMSC)):
        with pytest.raises(ValueError):
            link.bind(BIND, 0)


def test_an_outbind_and_an_alert_reach_the_owner() -> None:
    assert opened(Role.ESME).receive(encode(Outbind(system_id="S")), 0) == [Outbound(Outbind(system_id="S"))]
    link = bound(Role.ESME)
    assert link.receive(encode(Alert(source_addr="7")), 0) == [Alerted(Alert(source_addr="7"))]
    assert link.take() == b""


def test_an_outbind_is_answered_with_a_bind_and_one_that_crosses_ours_changes_nothing() -> None:
    for binds_first in (False, True):
        link = opened(Role.ESME)
        if binds_first:
            link.bind(BIND, 0)
        assert link.receive(encode(Outbind(sequence=9)), 0) == [Outbound(Outbind(sequence=9))]
        if not binds_first:
            link.bind(BIND, 0)
        (bind,) = written(link)
        assert isinstance(bind, Bind)
        (bound_now,) = link.receive(encode(BindResp(CommandId.BIND_TRANSCEIVER_RESP, bind.sequence)), 0)
        assert isinstance(bound_now, Bound)


# Requests and responses -------------------------------------------------------------------------------------------


def test_a_delivery_waits_for_its_owner_and_its_sequence_is_echoed() -> None:
    link = bound(Role.ESME)
    for sequence in (0, 7, 0xFFFFFFFF):
        message = Message(CommandId.DELIVER_SM, sequence)
        (event,) = link.receive(encode(message), 0)
        assert event == Delivered(message)
        assert link.take() == b""
        assert link.respond(message, Status.RX_T_APPN)
        assert written(link) == [MessageResp(CommandId.DELIVER_SM_RESP, sequence, Status.RX_T_APPN)]


def test_a_response_brings_back_the_tag() -> None:
    link = bound(Role.ESME)
    tag = object()
    link.send(SUBMIT, tag, 0)
    (sent,) = written(link)
    assert sent == Message(CommandId.SUBMIT_SM, 2, destination_addr="79101234567", short_message=b"hello")
    response = MessageResp(CommandId.SUBMIT_SM_RESP, 2, Status.RTHROTTLED)
    assert link.receive(encode(response), 1) == [Responded(tag, Status.RTHROTTLED, response)]
    assert link.receive(encode(response), 1) == [Ignored(response)]


@pytest.mark.parametrize("at_once", [True, False], ids=["answer", "urgent message"])
@pytest.mark.parametrize("status", [Status.ROK, Status.RTHROTTLED], ids=["taken", "refused"])
@pytest.mark.parametrize("crowded", [False, True], ids=["at once", "from the queue"])
def test_of_an_urgent_request_that_was_taken_its_tag_is_told(at_once: bool, status: int, crowded: bool) -> None:
    link, tag = bound(Role.ESME, settings=LinkSettings(window=1)), object()
    if crowded:
        assert link.send(SUBMIT, "before", 0)
    if at_once:
        assert link.answer([(17, b"body", tag)], 0) == []
    else:
        assert link.send(SUBMIT, tag, 0, urgent=True)
    if crowded:
        link.receive(encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2)), 0)
    response = MessageResp(CommandId.SUBMIT_SM_RESP, 3 if crowded else 2, status, "" if status else "0")
    (event,) = link.receive(encode(response), 1)
    assert event == (Responded(tag, status, response) if status else tag)
    assert link.in_flight == 0


@pytest.mark.parametrize("status", [Status.ROK, Status.RTHROTTLED], ids=["taken", "refused"])
@pytest.mark.parametrize("brief", [False, True])
def test_of_a_brief_request_that_was_taken_its_tag_is_told(brief: bool, status: int) -> None:
    link, tag = bound(Role.ESME), Packed(CommandId.SUBMIT_SM, b"body")
    assert link.submit([tag], 0, brief) == []
    response = MessageResp(CommandId.SUBMIT_SM_RESP, 2, status, "" if status else "0")
    assert link.receive(encode(response), 1) == [tag if brief and not status else Responded(tag, status, response)]


def test_a_generic_nack_completes_the_request_of_its_sequence() -> None:
    link = bound(Role.ESME)
    link.send(SUBMIT, "tag", 0)
    nack = Bare(CommandId.GENERIC_NACK, 2, Status.RINVCMDID)
    assert link.receive(encode(nack), 1) == [Responded("tag", Status.RINVCMDID, nack)]
    stray = Bare(CommandId.GENERIC_NACK, 0, Status.RINVCMDLEN)
    assert link.receive(encode(stray), 1) == [Ignored(stray)]


def test_a_generic_nack_without_a_reason_is_no_consent() -> None:
    link = bound(Role.ESME)
    link.send(SUBMIT, "tag", 0)
    nack = Bare(CommandId.GENERIC_NACK, 2, Status.ROK)
    assert link.receive(encode(nack), 1) == [Responded("tag", Status.RSYSERR, nack)]


def test_a_response_of_another_kind_completes_nothing() -> None:
    link = bound(Role.ESME)
    link.send(SUBMIT, "tag", 0)
    response = MessageResp(CommandId.DATA_SM_RESP, 2)
    assert link.receive(encode(response), 1) == [Ignored(response)]
    assert link.in_flight == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("make", [opened, bound])
def test_enquire_link_is_answered_in_any_state(role: Role, make: Callable[[Role], Link]) -> None:
    link = make(role)
    assert link.receive(encode(Bare(CommandId.ENQUIRE_LINK, 77)), 0) == []
    assert written(link) == [Bare(CommandId.ENQUIRE_LINK_RESP, 77)]


# Ends -------------------------------------------------------------------------------------------------------------


def test_an_unbind_is_answered_and_ends_the_link() -> None:
    link = bound(Role.ESME)
    assert link.receive(encode(Bare(CommandId.UNBIND, 5)), 0) == [Closed(CloseReason.UNBOUND_BY_PEER)]
    assert written(link) == [Bare(CommandId.UNBIND_RESP, 5)]
    assert not link.respond(DELIVER)
    assert not link.send(SUBMIT, "d", 0)
    assert link.lost(0) == []


def unbound_by_peer_with_three_submits() -> Link:
    link = bound(Role.ESME, settings=replace(SETTINGS, linger_ms=20))
    for tag in ("a", "b", "c"):
        link.send(SUBMIT, tag, 0)
    link.take()
    assert link.receive(encode(Bare(CommandId.UNBIND, 5)), 0) == [Lost("c", False)]
    assert written(link) == [Bare(CommandId.UNBIND_RESP, 5)]
    assert not link.send(SUBMIT, "d", 0)
    return link


def test_responses_behind_the_other_sides_unbind_are_read() -> None:
    link = unbound_by_peer_with_three_submits()
    assert link.respond(DELIVER)
    first, second = (MessageResp(CommandId.SUBMIT_SM_RESP, sequence) for sequence in (2, 3))
    assert link.receive(encode(first), 1) == [Responded("a", 0, first)]
    assert link.receive(encode(second), 2) == [Responded("b", 0, second), Closed(CloseReason.UNBOUND_BY_PEER)]


def test_the_other_sides_unbind_is_not_outlived_for_long() -> None:
    link = unbound_by_peer_with_three_submits()
    assert link.timer() == 20
    assert link.tick(20) == [Lost("a", True), Lost("b", True), Closed(CloseReason.UNBOUND_BY_PEER)]
    link = unbound_by_peer_with_three_submits()
    assert link.lost(1)[-1] == Closed(CloseReason.UNBOUND_BY_PEER)


def test_our_unbind_waits_for_what_is_under_way() -> None:
    link = bound(Role.ESME)
    link.send(SUBMIT, "a", 0)
    link.take()
    assert link.unbind(1, drain_ms=30) == []
    assert not link.send(SUBMIT, "b", 1)
    assert link.take() == b""
    link.receive(encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2)), 2)
    assert written(link) == [Bare(CommandId.UNBIND, 3)]
    assert link.receive(encode(Bare(CommandId.UNBIND_RESP, 3)), 3) == [Closed(CloseReason.UNBOUND)]


@pytest.mark.parametrize("drain_ms", [0, 30])
@pytest.mark.parametrize("sends", [False, True])
def test_we_unbind_once_and_at_once_where_there_is_nothing_to_wait_for(sends: bool, drain_ms: int) -> None:
    link = bound(Role.ESME)
    if sends:
        link.send(SUBMIT, "a", 0)
        link.take()
    link.unbind(0, drain_ms)
    link.unbind(0, drain_ms)
    assert len(written(link)) == (0 if sends and drain_ms else 1)


def test_our_unbind_waits_no_longer_than_it_was_told_nor_for_ever() -> None:
    link = bound(Role.ESME)
    link.send(SUBMIT, "a", 0)
    link.take()
    link.unbind(1, drain_ms=30)
    assert link.timer() == 31
    assert link.tick(31) == []
    assert written(link) == [Bare(CommandId.UNBIND, 3)]
    assert link.tick(81) == [Lost("a", True), Closed(CloseReason.UNBOUND)]


def test_a_message_that_crosses_our_unbind_is_left_to_another_bind() -> None:
    link = bound(Role.ESME)
    link.unbind(0)
    link.take()
    assert link.receive(encode(DELIVER), 0) == []
    assert written(link) == []


def test_what_an_esme_submits_across_the_smscs_unbind_is_put_off() -> None:
    link = bound(Role.SMSC)
    link.unbind(0)
    link.take()
    (event,) = link.receive(encode(SUBMIT), 0)
    assert isinstance(event, Nacked)
    assert written(link) == [MessageResp(CommandId.SUBMIT_SM_RESP, 0, Status.RX_T_APPN)]


def test_an_unbind_before_the_bind_just_closes() -> None:
    link = opened(Role.ESME)
    assert link.unbind(0) == [Closed(CloseReason.UNBOUND)]
    assert link.take() == b""


# What makes no sense ----------------------------------------------------------------------------------------------


def test_a_truncated_body_is_refused_and_the_link_lives() -> None:
    link = bound(Role.ESME)
    cut_off = struct.pack(">IIII", 20, CommandId.DELIVER_SM, 0, 6) + b"USSD"
    events = link.receive(cut_off + encode(DELIVER), 0)
    assert [type(event) for event in events] == [Nacked, Delivered]
    assert written(link) == [MessageResp(CommandId.DELIVER_SM_RESP, 6, Status.RINVCMDLEN)]
    assert link.bound


def test_an_unknown_request_is_nacked_with_its_sequence_and_an_unknown_response_is_not() -> None:
    link = bound(Role.ESME)
    (event,) = link.receive(encode(Unknown(0x00010200, 6)), 0)
    assert event == Nacked(Unknown(0x00010200, 6), Status.RINVCMDID, "an unknown command")
    assert written(link) == [Bare(CommandId.GENERIC_NACK, 6, Status.RINVCMDID)]
    assert link.receive(encode(Unknown(0x80010200, 6)), 0) == [Ignored(Unknown(0x80010200, 6))]
    assert link.take() == b""


def test_a_bad_length_is_nacked_and_ends_the_link() -> None:
    link = bound(Role.ESME)
    events = link.receive(encode(DELIVER) + b"\0\0\0\x0f", 0)
    assert events == [Delivered(DELIVER), Closed(CloseReason.BAD_LENGTH)]
    assert written(link) == [Bare(CommandId.GENERIC_NACK, 0, Status.RINVCMDLEN)]


def test_a_malformed_alert_has_no_answer() -> None:
    link = bound(Role.ESME)
    (event,) = link.receive(struct.pack(">IIII", 17, CommandId.ALERT_NOTIFICATION, 0, 6) + b"\0", 0)
    assert isinstance(event, Nacked)
    assert link.take() == b""


@given(st.sampled_from(Role), st.booleans(), st.lists(pdus, max_size=6), st.lists(st.integers(min_value=0), max_size=8))
def test_events_are_the_same_wherever_the_stream_is_cut(
    role: Role, is_bound: bool, sent: list[Pdu], places: list[int]
) -> None:
    make = bound if is_bound else opened
    stream = b"".join(map(encode, sent))
    whole, cut = make(role), make(role)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert whole.receive(stream, 0) == [event for piece in pieces for event in cut.receive(piece, 0)]
    assert whole.take() == cut.take()
    assert whole.state is cut.state


@given(st.sampled_from(Role), st.lists(st.binary(max_size=60), max_size=10))
def test_no_octets_make_a_link_raise(role: Role, pieces: list[bytes]) -> None:
    link = bound(role)
    for now, piece in enumerate(pieces):
        link.receive(piece, now)
        link.tick(now)


def due_of(link: Link) -> int | None:
    """Return what its timer says, without its noting that it was asked."""
    unnoted = copy(link)
    unnoted.timers = copy(link.timers)
    return unnoted.timer()


# Two links, back to back ------------------------------------------------------------------------------------------


class BackToBack(RuleBasedStateMachine):
    """An ESME and an SMSC with wires between them that hold octets back as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.links: dict[Role, Link] = {}
        self.wires = dict.fromkeys(Role, b"")  # what each has written and the other has not read
        self.taken: Counter[tuple[Role, int]] = Counter()
        self.ended: Counter[tuple[Role, int]] = Counter()
        self.inbox: dict[Role, list[Message]] = {role: [] for role in Role}
        self.closed: Counter[Role] = Counter()
        self.told: dict[Role, int | None] = dict.fromkeys(Role)
        self.tags = 0

    @initialize(inactivity_ms=st.sampled_from([0, 70]), linger_ms=st.integers(1, 60))
    def bind(self, inactivity_ms: int, linger_ms: int) -> None:
        settings = replace(SETTINGS, inactivity_ms=inactivity_ms, linger_ms=linger_ms)
        self.links = {role: Link(role, settings) for role in Role}
        for link in self.links.values():
            link.connected(self.now)
        self.links[Role.ESME].bind(BIND, self.now)

    def note(self, role: Role, events: list[Any]) -> None:
        link = self.links[role]
        for event in events:
            assert not self.closed[role], "nothing may follow Closed"
            if isinstance(event, BindRequested):
                self.note(role, link.accept(event.pdu, "SMSC", self.now))
            elif isinstance(event, Delivered):
                self.inbox[role].append(event.pdu)
            elif isinstance(event, Responded | Expired | Lost):
                self.ended[role, event.tag] += 1
            elif isinstance(event, int):  # an urgent one was taken
                self.ended[role, event] += 1
            elif isinstance(event, Closed):
                self.closed[role] += 1
            else:
                assert isinstance(event, Bound | Ignored | Nacked)

    @rule(role=st.sampled_from(Role), urgent=st.booleans())
    def send(self, role: Role, urgent: bool) -> None:
        self.tags += 1
        message = SUBMIT if role is Role.ESME else DELIVER
        if self.links[role].send(message, self.tags, self.now, urgent=urgent):
            self.taken[role, self.tags] += 1

    @rule(role=st.sampled_from(Role), octets=st.integers(1, 200))
    def carry(self, role: Role, octets: int) -> None:
        other = Role.SMSC if role is Role.ESME else Role.ESME
        self.wires[role] += self.links[role].take()
        piece, self.wires[role] = self.wires[role][:octets], self.wires[role][octets:]
        if piece:
            self.note(other, self.links[other].receive(piece, self.now))

    @rule(role=st.sampled_from(Role), status=st.sampled_from([0, Status.RTHROTTLED]))
    def respond(self, role: Role, status: int) -> None:
        if self.inbox[role]:
            self.links[role].respond(self.inbox[role].pop(), status)

    @rule(ms=st.integers(1, 60))
    def wait(self, ms: int) -> None:
        self.now += ms
        for role, link in self.links.items():
            self.note(role, link.tick(self.now))

    @rule(role=st.sampled_from(Role), drain_ms=st.sampled_from([0, 30]))
    def unbind(self, role: Role, drain_ms: int) -> None:
        self.note(role, self.links[role].unbind(self.now, drain_ms))

    @precondition(lambda self: self.tags > 5)
    @rule(role=st.sampled_from(Role))
    def lose(self, role: Role) -> None:
        self.note(role, self.links[role].lost(self.now))

    @invariant()
    def a_window_is_kept_and_a_queue_is_bounded(self) -> None:
        for link in self.links.values():
            assert link.in_flight <= SETTINGS.window
            assert link.queued <= SETTINGS.queue

    @rule(role=st.sampled_from(Role), ms=st.integers(1, 60))
    def hold(self, role: Role, ms: int) -> None:
        self.links[role].hold(self.now + ms, self.now)

    @invariant()
    def a_timer_runs_for_whatever_is_due(self) -> None:
        """Ask for the time only where it may be sooner, as a connection does; nothing is due before what it said."""
        for role, link in self.links.items():
            if link.timers.sooner:
                self.told[role] = link.timer()
            due, told = due_of(link), self.told[role]
            assert due is None or (told is not None and due >= told)

    @invariant()
    def a_tick_that_is_done_is_not_due_again(self) -> None:
        for role, link in self.links.items():
            due = due_of(link)
            if due is not None and due <= self.now:
                self.note(role, link.tick(self.now))
                again = due_of(link)
                assert again is None or again > self.now

    def teardown(self) -> None:
        for role, link in self.links.items():
            self.note(role, link.lost(self.now))
            assert link.state is State.CLOSED
            assert self.closed[role] == 1
        assert self.ended == self.taken, "every request that was taken has one end"


TestBackToBack = BackToBack.TestCase
