"""`bind=txrx`: the server receives by one link and sends by another, and either may be lost without the other."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smpp.constants import CommandId
from tests.acceptance.conftest import new_phone
from tests.acceptance.gateway import Pair
from tests.acceptance.harness import ANSWER, MENU, Phone, ServerProcess, running


@pytest.fixture
def pair() -> Iterator[Pair]:
    """An SMSC that nobody has bound to yet."""
    pair = Pair()
    yield pair
    pair.close()


@contextmanager
def serving(pair: Pair, data: Path) -> Iterator[ServerProcess]:
    """Run a server, bound by both links."""
    with running(data, smsc=pair.url) as server:
        pair.accept()
        yield server


def in_silence(pair: Pair, phone: Phone) -> bool:
    """Whether nothing more has come for a phone by the time that another has had its answer."""
    assert new_phone(pair).dial("*111#").text
    return not pair.seen(lambda message: message.destination == phone.msisdn)


def test_both_links_are_needed_to_be_ready(pair: Pair, tmp_path: Path) -> None:
    """The server is ready when both are bound, and not while one is missing."""
    with serving(pair, tmp_path) as server:
        server.wait_for_log("bound", "smpp://")
        pair.receiver.barrier()
        pair.transmitter.barrier()
        assert server.ready()[0] == 200
        pair.transmitter.hang_up()
        server.wait_for_log("link closed")
        assert server.ready()[0] == 503
        pair.transmitter.accept()
        pair.transmitter.barrier()
        assert server.ready()[0] == 200


def test_the_service_works_over_two_links(pair: Pair, tmp_path: Path) -> None:
    """USSD and SMS come in by the receiver; every answer goes out by the transmitter, once."""
    with serving(pair, tmp_path):
        phone = new_phone(pair)
        assert phone.text("2163", "111") == 0
        assert "подключён" in phone.inbox()
        menu = phone.dial("*111#")
        assert (menu.op, "Пароль" in menu.text) == (MENU, True)
        assert "Супер Ноль" in phone.answer("2").text
        assert "Супер Ноль: " in phone.answer("1").text
        assert "Останется" in phone.answer("1").text
        assert phone.answer("1").ends
        assert "изменён" in phone.inbox()
        assert phone.text("111", "баланс") == 0
        assert "Баланс" in phone.inbox()
        assert in_silence(pair, phone)
        assert pair.receiver.submits == 0


def test_a_confirmation_delivered_again_orders_once(pair: Pair, tmp_path: Path) -> None:
    """A confirmation that the network delivers twice gets the same answer twice, one order and one receipt."""
    with serving(pair, tmp_path):
        phone = new_phone(pair).activated()
        phone.walk("*111#", "2", "1", "1")
        first = phone.answer("1")
        second = phone.redeliver()
        assert (second.text, second.op) == (first.text, first.op)
        assert "изменён" in phone.inbox()
        assert in_silence(pair, phone)


def test_what_the_receiver_lost_is_answered_when_it_is_back(pair: Pair, tmp_path: Path) -> None:
    """An answer repeated over a new receiver, under another sequence number, changes nothing and is shown again."""
    with serving(pair, tmp_path):
        phone = new_phone(pair).activated()
        first = phone.walk("*111#", "2")
        pair.receiver.hang_up()
        assert pair.receiver.accept().command == CommandId.BIND_RECEIVER
        phone.last["sequence"] = pair.next_sequence()
        assert phone.redeliver().text == first.text
        assert "Супер Ноль: " in phone.answer("1").text


def test_sms_wait_for_the_transmitter(pair: Pair, tmp_path: Path) -> None:
    """While the transmitter is away an SMS is taken and its answer waits; it comes when the transmitter is back."""
    with serving(pair, tmp_path) as server:
        phone = new_phone(pair)
        pair.transmitter.hang_up()
        server.wait_for_log("link closed")
        assert phone.text("2163", "111") == 0
        assert pair.transmitter.accept().command == CommandId.BIND_TRANSMITTER
        assert "подключён" in phone.inbox()
        assert "Пароль" in phone.dial("*111#").text
        assert pair.receiver.submits == 0


def test_a_dialogue_goes_on_when_the_transmitter_is_back(pair: Pair, tmp_path: Path) -> None:
    """A screen that could not be sent is sent when the network repeats the input, and the place is kept."""
    with serving(pair, tmp_path) as server:
        phone = new_phone(pair).activated()
        phone.dial("*111#")
        pair.transmitter.hang_up()
        server.wait_for_log("link closed")
        unseen = {**phone.ussd_fields("2", ANSWER), "sequence": pair.next_sequence()}
        pair.receiver.send(unseen)
        pair.receiver.barrier()
        pair.transmitter.accept()
        pair.transmitter.barrier()
        phone.last = {**unseen, "sequence": pair.next_sequence()}
        assert "Супер Ноль" in phone.redeliver().text
        assert "Супер Ноль: " in phone.answer("1").text
        assert pair.receiver.submits == 0


def test_a_stop_unbinds_both_links(pair: Pair, tmp_path: Path) -> None:
    """On SIGTERM both links are unbound in good order and the process ends with 0."""
    with serving(pair, tmp_path) as server:
        new_phone(pair).activated()
        server.process.terminate()
        for link in (pair.transmitter, pair.receiver):
            link.take("an unbind", lambda pdu: pdu.command == CommandId.UNBIND)
            link.wait_closed()
        assert server.wait() == 0
        levels = [json.loads(line)["level"] for line in server.lines if line.startswith("{")]
        assert "error" not in levels
