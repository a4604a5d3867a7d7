"""What the network delivers again changes nothing twice, whatever sequence number or link it comes by.

An SMSC repeats an SMS whose response it missed. It knows nothing of our links: the repetition may have a new sequence
number, come a moment later or after a reconnect, and where several were not acknowledged all of them come again.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import Phone, running

WEALTHY = "79100000004"  # the shipped catalogue gives this number 1500 roubles: enough to be charged twice
CODE = "Ваш пароль"
Sms = tuple[str, str]


@contextmanager
def serving(gateway: Gateway, data: Path) -> Iterator[Service]:
    """Run a server of a test's own, bound."""
    with running(data, smsc=gateway.url) as server:
        gateway.accept()
        yield Service(server, gateway, data)


def settle(service: Service) -> None:
    """Return when everything that was taken so far has been carried out and its SMS have come."""
    with closing(sqlite3.connect(service.data / "ussd-server.db")) as database:
        # This SMSC sends no receipts: that they are waited for is all that is left to do.
        while database.execute("SELECT count(*) FROM outbox WHERE kind <> 'delivery'").fetchone() != (0,):
            service.gateway.barrier()
    service.gateway.barrier()


def codes(service: Service, phone: Phone) -> int:
    """Return how many access codes have come and were not read yet."""
    return len(service.gateway.seen(lambda message: message.destination == phone.msisdn and CODE in message.text))


def purchases(service: Service, phone: Phone) -> list[tuple[str, str]]:
    """Return what the operator was asked for, and what became of it."""
    with closing(sqlite3.connect(service.data / "operator.db")) as database:
        return database.execute(
            "SELECT offering, status FROM purchase WHERE msisdn = ? ORDER BY seq", (phone.msisdn,)
        ).fetchall()


def write(phone: Phone, texts: Iterable[Sms]) -> None:
    """Write SMS one after the other, without waiting for their answers."""
    for number, text in texts:
        assert phone.text(number, text) == 0


def test_a_code_is_issued_once(gateway: Gateway, tmp_path: Path) -> None:
    """A request for a code that comes again a moment later, under a new sequence number, issues no second one."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone().activated()
        write(phone, [("6262", "")] * 3)
        settle(service)
        assert codes(service, phone) == 1


@pytest.mark.parametrize("yes", ["1", "да"])
def test_an_order_is_made_once(gateway: Gateway, tmp_path: Path, yes: str) -> None:
    """A confirmation that comes again a moment later, under a new sequence number, orders and charges once."""
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, [("111", "212"), ("111", yes), ("111", yes)])
        settle(service)
        assert purchases(service, phone) == [("red-energy", "completed")]
        assert "1 410" in phone.dial("*100#").text.replace("\N{NO-BREAK SPACE}", " ")


SAID: list[Sms] = [("6262", ""), ("111", "услуга 555"), ("111", "да")]


def test_all_that_was_said_comes_again_over_a_new_link(gateway: Gateway, tmp_path: Path) -> None:
    """After a reconnect the network repeats several SMS in their order; none of them acts twice."""
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, SAID)
        settle(service)
        before = codes(service, phone), purchases(service, phone)
        assert before == (1, [("voice-mail", "completed")])
        gateway.accept()
        write(phone, SAID)
        settle(service)
        assert codes(service, phone) == 0, "codes that came by the new link"
        assert purchases(service, phone) == before[1]


def test_all_that_was_said_comes_again_after_a_crash(gateway: Gateway, tmp_path: Path) -> None:
    """A process that was killed leaves enough to know what it had taken."""
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, SAID)
        settle(service)
        before = purchases(service, phone)
        service.server.kill()
    with serving(gateway, tmp_path) as service:
        write(phone, SAID)
        settle(service)
        assert codes(service, phone) == 0
        assert purchases(service, phone) == before


def test_a_tariff_changed_and_ordered_again_is_charged_once(gateway: Gateway, tmp_path: Path) -> None:
    """A price asked and confirmed, both repeated over a new link, is one change and one charge."""
    said = [("111", "212"), ("111", "1")]
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, said)
        settle(service)
        gateway.accept()
        write(phone, said)
        settle(service)
        assert purchases(service, phone) == [("red-energy", "completed")]


def test_an_answer_that_comes_again_does_not_answer_the_next_question(gateway: Gateway, tmp_path: Path) -> None:
    """A `1` that chose from a list, repeated over a new link, does not accept the price that followed."""
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        said = [("111", "тарифы"), ("111", "1"), ("111", "1 ")]  # a list, an offer, its price
        write(phone, said)
        settle(service)
        gateway.accept()
        write(phone, [("111", "1"), ("111", "1 ")])
        settle(service)
        assert purchases(service, phone) == []


def test_the_same_answer_to_another_question_is_meant(gateway: Gateway, tmp_path: Path) -> None:
    """Who reads a list and answers `1`, and reads what comes and answers `1` again, means both."""
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, [("111", "тарифы")])
        assert "1. Супер Ноль" in phone.inbox()
        write(phone, [("111", "1")])
        assert "1. Сменить тариф" in phone.inbox()
        write(phone, [("111", "1")])
        assert "Останется" in phone.inbox()
        write(phone, [("111", "1")])
        assert "изменён" in phone.inbox() + phone.inbox()
        assert purchases(service, phone) == [("super-nol", "completed")]


def test_who_agrees_in_the_same_words_over_a_new_link_is_asked_again(gateway: Gateway, tmp_path: Path) -> None:
    """A yes to a second price, over a new link within two minutes of a yes to another, may be the network's repetition.

    Nothing is ordered, the price is asked again, and a yes to that orders it, once.
    """
    with serving(gateway, tmp_path) as service:
        phone = Phone(gateway, WEALTHY).activated()
        write(phone, [("111", "212"), ("111", "да")])
        settle(service)
        gateway.accept()
        write(phone, [("111", "услуга 555")])
        assert "Голосовая почта" in phone.inbox()
        write(phone, [("111", "да")])
        settle(service)
        assert purchases(service, phone) == [("red-energy", "completed")]
        assert "Голосовая почта" in phone.inbox()
        write(phone, [("111", "да")])
        settle(service)
        assert purchases(service, phone) == [("red-energy", "completed"), ("voice-mail", "completed")]
