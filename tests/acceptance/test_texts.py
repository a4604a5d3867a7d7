"""What subscribers, machines and networks send by mistake: each input has a polite answer or, on purpose, none."""

from typing import Any

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.harness import ANSWER, BEGIN, END, MENU, Phone

RECEIPT = b"id:0123456789 sub:001 dlvrd:001 submit date:0911161200 done date:0911161201 stat:DELIVRD err:000 text:Menu"

# SMS ----------------------------------------------------------------------------------------------------------------


def test_an_unknown_text_is_answered_with_help(service: Service) -> None:
    """A text that leads nowhere is answered politely with where to find what does."""
    phone = service.phone()
    assert phone.text("111", "Здравствуйте!") == 0
    assert "Отправьте ?" in phone.inbox()


def test_a_machine_is_not_answered_for_ever(service: Service) -> None:
    """Whoever sends nothing but unknown texts is told what is possible three times a day, and then nothing."""
    robot = service.phone()
    for number in range(8):
        assert robot.text("111", f"Your balance is {number}") == 0
    assert [bool(robot.inbox()) for _ in range(3)] == [True] * 3
    assert_silent(service, robot)


def test_a_person_is_answered_again(service: Service) -> None:
    """A text that leads somewhere takes its sender for a person again: the next mistake is explained once more."""
    phone = service.phone()
    for _ in range(5):
        phone.text("111", "hm")
    for _ in range(3):
        phone.inbox()
    assert phone.text("111", "баланс") == 0
    assert "Баланс" in phone.inbox()
    assert phone.text("111", "и?") == 0
    assert "Отправьте ?" in phone.inbox()


def test_a_redelivered_sms_is_answered_once(service: Service) -> None:
    """An SMS that the network delivers again under the same sequence number is acknowledged again, and that is all."""
    phone = service.phone()
    fields = phone.sms_fields("2163", short_message=b"111", sequence=service.gateway.next_sequence())
    assert service.gateway.deliver(fields) == 0
    assert service.gateway.deliver(fields) == 0
    assert "подключён, бесплатно" in phone.inbox()
    assert_silent(service, phone)


def test_a_number_outside_the_trial_reads_so(service: Service) -> None:
    """Who is outside the numbers that the service is available to reads that, by USSD and by SMS, and nothing else."""
    outsider = Phone(service.gateway, "78121234567")
    screen = outsider.dial("*111*2163#")
    assert screen.op == END
    assert "не для всех" in screen.text
    assert outsider.text("2163", "111") == 0
    assert "не для всех" in outsider.inbox()


NOBODY: dict[str, dict[str, Any]] = {
    "a short code": {"source_addr": "9000", "source_addr_ton": 0},
    "our own number": {"source_addr": "111", "source_addr_ton": 0},
    "a name": {"source_addr": "MTS", "source_addr_ton": 5, "source_addr_npi": 0},
    "a name called a number": {"source_addr": "Bank24", "source_addr_ton": 1},
    "nobody": {"source_addr": "", "source_addr_ton": 0},
    "too long a number": {"source_addr": "7" * 20, "source_addr_ton": 1},
}


@pytest.mark.parametrize("name", NOBODY)
@pytest.mark.parametrize("text", [b"hello", b"111"], ids=["unknown text", "keyword"])
def test_who_is_no_subscriber_is_never_answered(service: Service, name: str, text: bytes) -> None:
    """A message from a short code, a name or an impossible number is acknowledged and not answered."""
    phone = service.phone()
    assert service.gateway.deliver({**phone.sms_fields("2163", short_message=text), **NOBODY[name]}) == 0
    assert_silent(service, phone, NOBODY[name]["source_addr"])


RECEIPTS: dict[str, dict[str, Any]] = {
    "by esm_class": {"esm_class": 0x04, "short_message": RECEIPT},
    "by esm_class, intermediate": {"esm_class": 0x20, "short_message": RECEIPT.replace(b"DELIVRD", b"ENROUTE")},
    "by TLVs": {"esm_class": 0x04, "receipted_message_id": b"0123456789\0", "message_state": 2},
    "called UCS-2": {"esm_class": 0x04, "short_message": RECEIPT, "data_coding": 8},
    "of the user, SMPP 3.4 5.2.12": {"esm_class": 0x08, "short_message": b"read"},
}


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_receipt_is_never_answered(service: Service, name: str) -> None:
    """A delivery receipt, however it is marked, is acknowledged and not taken for a subscriber's text."""
    phone = service.phone()
    assert service.gateway.deliver(phone.sms_fields("111", **RECEIPTS[name])) == 0
    assert_silent(service, phone)


def assert_silent(service: Service, phone: Phone, source: str = "") -> None:
    """Assert that no SMS is on its way to a number: one that was asked for later comes, and nothing else has."""
    other = service.phone()
    for _ in range(2):  # the first of them may overtake what was ordered before it; the second cannot
        assert other.text("111", "баланс") == 0
        assert other.inbox()
    addresses = {phone.msisdn, source}
    assert not service.gateway.seen(lambda message: message.destination in addresses)


# USSD ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_code_is_answered(service: Service) -> None:
    """A code that no entry has is answered with one that exists, and the dialogue ends."""
    screen = service.phone().dial("*123456789#")
    assert screen.op == END
    assert "*111#" in screen.text


@pytest.mark.parametrize(
    "code", ["*", "#", "*111", "111", "*111**#", "*111*#", "*111*2*1*1*1*1*1*1*1*1*1*1*1#", "x" * 160]
)
def test_a_strange_code_is_answered(service: Service, code: str) -> None:
    """Whatever is dialled gets some screen."""
    assert service.phone().dial(code).text


def test_an_answer_to_an_ended_dialogue_is_answered(service: Service) -> None:
    """An answer that comes after the dialogue's last screen gets a polite last screen, and nothing happens."""
    phone = service.phone()
    assert phone.dial("*100#").op == END
    late = phone.answer("1")
    assert late.op == END
    assert late.text
    assert "Помощник" in phone.dial("*111#").text


def test_an_answer_to_no_dialogue_is_answered(service: Service) -> None:
    """An answer from a number that never dialled gets a polite screen."""
    phone = service.phone()
    phone.session = 42
    assert phone.answer("5").text


def test_an_answer_to_an_older_dialogue_leaves_the_newer_alone(service: Service) -> None:
    """An answer that belongs to a dialogue before this one is not taken for an answer to this one."""
    phone = service.phone().activated()
    phone.dial("*111#")
    old = phone.session
    phone.dial("*111*2#")
    new, phone.session = phone.session, old
    phone.answer("4")
    phone.session = new
    assert "Супер Ноль" in phone.answer("1").text


def test_a_dialogue_that_nobody_ended_can_be_resumed(service: Service) -> None:
    """A gateway need not tell that a dialogue was lost: whoever dials again is asked whether to go on all the same."""
    phone = service.phone().activated()
    page = phone.walk("*111#", "2", "99")
    question = phone.dial("*111#")
    assert question.op == MENU
    assert "1. Продолжить" in question.text
    assert phone.answer("1").text == page.text
    assert "1. Продолжить" in phone.dial("*111#").text, "the place is lost with the second dialogue"
    assert phone.answer("2").text.startswith("Помощник")


def test_the_question_whether_to_go_on_may_be_lost_too(service: Service) -> None:
    """Who is asked and dials once more without answering reads a screen of the service, and can go where they were."""
    phone = service.phone().activated()
    page = phone.walk("*111#", "2", "99")
    assert "Продолжить" in phone.dial("*111#").text
    assert "Продолжить" in phone.dial("*111#").text
    assert phone.answer("1").text == page.text


def test_a_price_that_nobody_answered_is_asked_again(service: Service) -> None:
    """Who dials again at a price goes on to it and orders once; an answer to the lost dialogue confirms nothing."""
    phone = service.phone().activated()
    price = phone.walk("*111#", "2", "1", "1")
    lost = phone.session
    assert "Продолжить" in phone.dial("*111#").text
    again, phone.session = phone.session, lost
    assert "принята" not in phone.answer("1").text
    phone.session = again
    assert phone.answer("1").text == price.text
    assert phone.answer("1").ends
    assert "изменён" in phone.inbox()
    assert_silent(service, phone)


def test_the_end_of_a_dialogue_is_acknowledged_and_not_answered(service: Service) -> None:
    """When the network ends a dialogue, open or unknown, that is acknowledged and no screen follows."""
    phone = service.phone()
    phone.session = 7
    assert phone.hang_up() == 0
    phone.dial("*111#")
    assert phone.hang_up() == 0
    assert phone.hang_up() == 0
    assert_silent(service, phone)


@pytest.mark.parametrize("text", ["7" * 160, "1 2 3", "-1", "0001", "1.5", " ", "<b>", "'; drop table"])
def test_an_impossible_answer_shows_the_screen_again(service: Service, text: str) -> None:
    """An answer that is no option shows the same screen again with the reason, 160 characters of it too."""
    phone = service.phone()
    phone.dial("*111#")
    again = phone.answer(text)
    assert again.op == MENU
    assert "Неверно" in again.text
    assert "Баланс" in phone.answer("4").text


def test_an_empty_answer_shows_the_screen_again(service: Service) -> None:
    """An answer without a text shows the screen again."""
    phone = service.phone()
    menu = phone.dial("*111#")
    assert menu.text.partition("\n")[2].splitlines()[-1] in phone.answer("").text


def test_answers_overtake_nothing(service: Service) -> None:
    """Answers sent without waiting for screens are taken one after the other, in the order they came."""
    phone = service.phone().activated()
    phone.session += 1
    gateway = service.gateway
    sequences = [
        gateway.send(phone.ussd_fields(text, op)) for text, op in (("*111#", BEGIN), ("2", ANSWER), ("1", ANSWER))
    ]
    assert [gateway.response(sequence) for sequence in sequences] == [0, 0, 0]
    assert [word in phone.screen().text for word in ("Помощник", "Тарифы", "Супер Ноль: ")] == [True] * 3


def test_service_op_without_service_type_is_ussd(service: Service) -> None:
    """A gateway that leaves service_type empty and sends the TLV alone is served all the same."""
    phone = service.phone()
    phone.session = 5
    assert service.gateway.deliver({**phone.ussd_fields("*111#", BEGIN), "service_type": ""}) == 0
    assert "Помощник" in phone.screen().text


def test_a_code_in_the_address_is_dialled(service: Service) -> None:
    """A gateway that puts the dialled code into destination_addr and sends no text is served all the same."""
    phone = service.phone()
    phone.session = 6
    fields = {**phone.ussd_fields("", BEGIN), "destination_addr": "*111#"}
    assert service.gateway.deliver(fields) == 0
    assert "Помощник" in phone.screen().text


def test_ussd_in_data_sm_is_served(service: Service) -> None:
    """A gateway that sends USSD in data_sm, its text in message_payload, is served all the same."""
    phone = service.phone()
    phone.session = 8
    fields = phone.ussd_fields("", BEGIN)
    del fields["short_message"]
    assert service.gateway.deliver({**fields, "command": "data_sm", "message_payload": b"*111#"}) == 0
    assert "Помощник" in phone.screen().text
