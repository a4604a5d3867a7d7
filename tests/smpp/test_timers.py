"""A link that hears nothing asks, one that carries nothing is given up, and a time that came nearer is told."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from smpp.constants import CommandId, Status
from smpp.errors import CloseReason
from smpp.events import Closed
from smpp.link import LinkSettings
from smpp.pdu import Bare, MessageResp, encode
from smpp.states import Role
from tests.smpp.links import DELIVER, SETTINGS, SUBMIT, bound, opened, written


def test_an_idle_link_asks_and_closes_when_nobody_answers() -> None:
    link = bound(Role.ESME)
    assert link.timer() == 100
    assert link.tick(99) == []
    assert link.take() == b""
    assert link.tick(100) == []
    assert written(link) == [Bare(CommandId.ENQUIRE_LINK, 2)]
    assert link.timer() == 150
    assert link.tick(150) == [Closed(CloseReason.NOT_ANSWERING)]


@pytest.mark.parametrize(
    "answer",
    [
        Bare(CommandId.ENQUIRE_LINK_RESP, 2),
        Bare(CommandId.ENQUIRE_LINK_RESP, 99),
        Bare(CommandId.GENERIC_NACK, 2, Status.RINVCMDID),
    ],
)
def test_any_answer_to_an_enquiry_proves_that_somebody_is_there(answer: Bare) -> None:
    link = bound(Role.ESME)
    link.tick(100)
    assert link.receive(encode(answer), 120) == []
    assert link.timer() == 220


def test_a_time_that_came_nearer_is_told() -> None:
    link = bound(Role.ESME, settings=LinkSettings(enquire_ms=100, response_ms=500))
    steps: list[tuple[Callable[[], object], int]] = [
        (lambda: link.hold(80, 0), 100),  # for nobody yet
        (lambda: link.send(SUBMIT, "held", 0), 80),
        (lambda: link.tick(80), 100),
        (lambda: link.tick(100), 580),  # asks
        (lambda: link.receive(encode(Bare(CommandId.ENQUIRE_LINK_RESP, 3)), 120), 220),
        (lambda: link.unbind(120, 60), 180),
    ]
    for act, due in steps:
        link.timer()
        act()
        assert link.timers.sooner
        assert link.timer() == due
        assert not link.timers.sooner
    link.receive(encode(Bare(CommandId.ENQUIRE_LINK, 1)), 150)
    assert not link.timers.sooner


def test_a_link_that_hears_something_does_not_ask_and_an_unbound_one_never_does() -> None:
    link = bound(Role.ESME)
    link.receive(encode(DELIVER), 90)
    assert link.timer() == 190
    assert opened(Role.ESME).tick(39) == []


def test_a_link_that_carries_no_message_for_long_is_unbound() -> None:
    settings = replace(SETTINGS, inactivity_ms=80, response_ms=500)
    link = bound(Role.ESME, settings=settings)
    link.receive(encode(DELIVER), 10)
    link.receive(encode(Bare(CommandId.ENQUIRE_LINK, 7)), 60)  # no message: it only says that somebody is there
    assert link.tick(89) == []
    link.send(SUBMIT, "a", 89)
    assert link.timer() == 160  # the enquiry
    assert link.tick(169) == []  # what is under way is activity
    link.receive(encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2)), 170)
    link.take()
    assert link.timer() == 249
    assert link.tick(249) == []
    (unbind,) = written(link)
    assert isinstance(unbind, Bare)
    assert unbind.command == CommandId.UNBIND
    response = encode(Bare(CommandId.UNBIND_RESP, unbind.sequence))
    assert link.receive(response, 250) == [Closed(CloseReason.INACTIVE)]
