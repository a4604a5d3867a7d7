"""The whole service over an SMPP implementation that somebody else wrote, with that one's decoding as the witness."""

import re
from typing import Any

import pytest

from tests.acceptance.harness import END, MENU, Phone, Submitted, run_to_end
from tests.interop.conftest import Service

pytestmark = pytest.mark.interop

GSM, UCS2 = 0, 8
USSD_OCTETS = {GSM: 182, UCS2: 160}  # one septet an octet, two octets a UCS-2 unit
SMS_OCTETS = {GSM: 160, UCS2: 140}
POOR = "79100000002"  # the shipped catalogue gives this number 12.40 roubles
YOUNG = "79100000003"  # a SIM of five days: its tariff changes are free
RUSSIAN = re.compile("[а-яё]", re.IGNORECASE)


def rubles(text: str) -> int:
    """Return the first amount of money in a text, in kopecks."""
    found = re.search(r"(-?\d[\d\s]*)(?:[.,](\d\d))?\s*(?:руб|rub|RUB)", text)
    assert found, f"no amount in {text!r}"
    return int(re.sub(r"\s", "", found[1]) + (found[2] or "00"))


def balance(phone: Phone) -> int:
    return rubles(phone.dial("*100#").text)


def assert_fits(message: Submitted) -> None:
    """Assert that what was on the wire fits the network: the octets are counted, whatever the text is."""
    limits = SMS_OCTETS if message.op is None else USSD_OCTETS
    assert message.data_coding in limits
    assert 0 < len(message.octets) <= limits[message.data_coding], message


# Activation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "text"), [("2163", "111"), ("111", "2163")])
def test_an_sms_activates_and_is_answered(service: Service, number: str, text: str) -> None:
    """The SMS of either pair of number and text activates the service, and an SMS from that number says so."""
    phone = service.phone()
    assert phone.text(number, text) == 0
    answer = phone.next_part()
    assert answer.source == number
    assert "подключён" in answer.text
    assert "Пароль" in phone.dial("*111#").text


def test_ussd_activates_once(service: Service) -> None:
    """*111*2163# activates; dialled again it says that this was done already."""
    phone = service.phone()
    first, second = phone.dial("*111*2163#"), phone.dial("*111*2163#")
    assert first.ends
    assert second.ends
    assert "подключён, бесплатно" in first.text
    assert "уже подключён" in second.text


def test_the_menu_leads_to_activation(service: Service) -> None:
    """Who has not activated the service finds that first in the menu."""
    phone = service.phone()
    menu = phone.dial("*111#")
    assert menu.op == MENU
    assert "1 Подключить" in menu.text.replace(".", "").replace(")", "")
    done = phone.answer("1")
    assert done.ends
    assert "подключён" in done.text


def test_deactivation_asks_and_is_done(service: Service) -> None:
    """Help leads to deactivation, which asks first; afterwards the service is closed again."""
    phone = service.phone().activated()
    phone.walk("*111*6#", "1")
    assert "отключён" in phone.answer("1").text
    assert "Сначала подключите" in phone.dial("*111*2#").text


def marked(style: str, number: int, total: int) -> dict[str, Any]:
    """Return what marks a part of a long SMS, for node's package to encode."""
    if style == "sar":
        return {"sar_msg_ref_num": 0x1234, "sar_total_segments": total, "sar_segment_seqnum": number}
    header = bytes((5, 0, 3, 9)) if style == "udh8" else bytes((6, 8, 4, 1, 9))
    return {"esm_class": 0x40, "short_message": header + bytes((total, number))}


@pytest.mark.parametrize("style", ["udh8", "udh16", "sar"])
def test_a_command_that_spans_two_parts_is_read_whole(service: Service, style: str) -> None:
    """A keyword cut in two, by a sender that cuts anywhere, is one command, though its end comes first and twice."""
    phone = service.phone()
    for number, piece in ((2, b"1"), (2, b"1"), (1, b" " * 140 + b"11")):
        fields = marked(style, number, 2)
        fields["short_message"] = fields.get("short_message", b"") + piece
        assert phone.smsc.deliver(phone.sms_fields("2163", **fields)) == 0
    assert "подключён" in phone.inbox()
    assert "Пароль" in phone.dial("*111#").text
    assert not service.smsc.seen(lambda message: message.destination == phone.msisdn)


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"receipted_message_id": "{id}", "message_state": 2}, "delivered"),
        ({"short_message": b"id:{id} sub:001 dlvrd:000 stat:UNDELIV err:011 text:", "data_coding": UCS2}, "failed"),
        ({"short_message": b"id:{id} stat:EXPIRED"}, "expired"),
    ],
    ids=["TLVs", "ASCII that says UCS-2", "a text without most of it"],
)
def test_the_receipt_of_an_sms_ends_it_in_the_journal(service: Service, told: dict[str, Any], end: str) -> None:
    """An SMS asks for its receipt, which may come twice and in other words; the journal tells how it ended, once."""
    phone = service.phone()
    assert phone.text("2163", "111") == 0
    submit = service.smsc.take("an SMS", lambda event: event.get("pdu", {}).get("destination_addr") == phone.msisdn)
    assert submit["pdu"]["registered_delivery"] == 1
    fields = {
        key: value.replace(b"{id}", submit["message_id"].encode())
        if isinstance(value, bytes)
        else value.replace("{id}", submit["message_id"])
        if isinstance(value, str)
        else value
        for key, value in told.items()
    }
    for _ in range(2):
        assert service.smsc.deliver(phone.sms_fields("2163", esm_class=4, **fields)) == 0
    status, journal = run_to_end(
        "subscriber", "journal", phone.msisdn, "--data", str(service.data), "--kind", "sms ended", cwd=service.data
    )
    assert status == 0, journal
    (line,) = journal.strip().splitlines()
    assert f" {end}; sent: " in line
    assert ("error: 011" in line) == (end == "failed")


# The access code ------------------------------------------------------------------------------------------------------

EMPTY: dict[str, dict[str, Any]] = {
    "sm_length 0": {"short_message": b""},
    "a message_payload of nothing": {"message_payload": b""},
    "no short_message at all": {"command": "data_sm"},
    "a space": {"short_message": b" "},
    "a CR": {"short_message": b"\r"},
    "a stray NUL": {"short_message": b"\0", "data_coding": 1},
    "a UCS-2 space": {"short_message": b"\0 ", "data_coding": UCS2},
}


def empty_sms(phone: Phone, form: str) -> int:
    fields = phone.sms_fields("6262", **EMPTY[form])
    if "command" in fields:
        del fields["short_message"]
    return phone.smsc.deliver(fields)


@pytest.mark.parametrize("form", EMPTY)
def test_an_empty_sms_orders_a_code(service: Service, form: str) -> None:
    """An SMS that its sender left empty, in whatever form it arrives, brings a code of eight digits by SMS."""
    phone = service.phone().activated()
    assert empty_sms(phone, form) == 0
    texts = [phone.inbox(), phone.inbox()]
    codes = [found for text in texts for found in re.findall(r"\b\d{8}\b", text)]
    assert len(codes) == 1, texts
    assert any("придёт по SMS" in text for text in texts)
    assert codes[0] not in service.server.log


def test_a_code_needs_activation(service: Service) -> None:
    """An empty SMS from a number without the service is answered with how to activate it, and no code is made."""
    phone = service.phone()
    assert empty_sms(phone, "sm_length 0") == 0
    assert "*111*2163#" in phone.inbox()


def test_an_at_sign_is_not_empty(service: Service) -> None:
    """One octet 0 in the GSM alphabet is a person's `@`, not an empty SMS."""
    phone = service.phone().activated()
    assert service.smsc.deliver(phone.sms_fields("6262", short_message=b"\0")) == 0
    assert "не понята" in phone.inbox()


# Menus and direct dial ------------------------------------------------------------------------------------------------


def test_the_menu_opens(service: Service) -> None:
    """*111# opens the menu in Russian, as a question that keeps the dialogue open."""
    menu = service.phone().activated().dial("*111#")
    assert menu.op == MENU
    assert menu.data_coding == UCS2
    assert [word in menu.text for word in ("Пароль", "Тарифы", "Услуги", "Баланс", "Язык", "Помощь")] == [True] * 6


def test_direct_dial_goes_straight_to_its_screen(service: Service) -> None:
    """*111*2*1# shows what *111#, 2 and 1 show, in one step."""
    phone = service.phone().activated()
    step_by_step = phone.walk("*111#", "2", "1")
    phone.hang_up()
    direct = service.phone().activated().dial("*111*2*1#")
    assert direct.text == step_by_step.text
    assert "Супер Ноль" in direct.text


def test_the_balance_is_one_dial_away(service: Service) -> None:
    """*100# shows the balance and ends the dialogue, whether the service is active or not."""
    shown = service.phone().dial("*100#")
    assert shown.op == END
    assert rubles(shown.text) == 150_00


def test_back_home_and_more(service: Service) -> None:
    """A long list has pages; 0 leads back, 00 to the menu, and numbering goes on over the pages."""
    phone = service.phone().activated()
    first = phone.walk("*111#", "2")
    more = re.search(r"^(\d+)\W+Ещё", first.text, re.MULTILINE)
    assert more, first.text
    second = phone.answer(more[1])
    numbers = [int(n) for n in re.findall(r"^(\d+)", first.text + "\n" + second.text, re.MULTILINE)]
    options = [n for n in numbers if n not in (0, int(more[1]))]
    assert options == list(range(1, len(options) + 1))
    assert phone.answer("0").text == first.text
    assert "Помощник" in phone.answer("00").text


def test_an_unknown_option_is_named_and_given_up_politely(service: Service) -> None:
    """A wrong option shows the same screen with the reason; after three the dialogue ends with a hint."""
    phone = service.phone().activated()
    phone.dial("*111#")
    again = phone.answer("77")
    assert "Неверно" in again.text
    assert "Тарифы" in again.text
    phone.answer("88")
    last = phone.answer("99")
    assert last.ends
    assert "Не получилось" in last.text


def test_a_dropped_dialogue_can_be_resumed(service: Service) -> None:
    """After a drop by the network the next dial asks whether to go on, and goes on where it was."""
    phone = service.phone().activated()
    screen = phone.walk("*111#", "2")
    assert phone.hang_up() == 0
    question = phone.dial("*111#")
    assert "Продолжить с того же места?" in question.text
    assert phone.answer("1").text == screen.text


# Changes that cost money ----------------------------------------------------------------------------------------------


def test_a_tariff_is_changed_end_to_end(service: Service) -> None:
    """The price is read before it is agreed to; then a receipt comes by SMS and the balance is lower by that price."""
    phone = service.phone().activated()
    before = balance(phone)
    phone.walk("*111#", "2", "1")
    quote = through_pages(phone, phone.answer("1"))
    price = rubles(quote.partition(": ")[2])
    assert 0 < price <= before
    placed = phone.answer("1")
    assert placed.ends
    receipt = phone.inbox()
    assert "Супер Ноль" in receipt
    assert "изменён" in receipt
    assert rubles(receipt.partition("Списано")[2]) == price
    assert balance(phone) == before - price


def through_pages(phone: Phone, screen: Submitted) -> str:
    """Read all pages of a text and return it as one; the dialogue stays on the last one."""
    text = screen.text
    for _ in range(5):
        more = re.search(r"^(\d+)\W+Ещё", screen.text, re.MULTILINE)
        if more is None:
            return text
        screen = phone.answer(more[1])
        text += " " + screen.text
    raise AssertionError(f"no end of pages: {text}")


def test_a_tariff_is_changed_by_sms(service: Service) -> None:
    """A tariff's number by SMS is answered with its price; a reply of 1 orders it, and the receipt follows."""
    phone = service.phone().activated()
    before = balance(phone)
    assert phone.text("111", "212") == 0
    quote = phone.inbox()
    assert "RED Energy" in quote
    assert phone.text("111", "1") == 0
    texts = phone.inbox() + phone.inbox()
    assert "Ответ придёт по SMS" in texts
    assert "Тариф изменён: RED Energy" in texts
    assert balance(phone) < before


def test_a_young_sim_changes_for_free(service: Service) -> None:
    """Within thirty days of the SIM's activation a change of tariff costs nothing, and the word for free is read."""
    phone = service.phone(YOUNG).activated()
    before = balance(phone)
    phone.walk("*111#", "2", "1")
    assert "бесплатно" in through_pages(phone, phone.answer("1"))
    assert phone.answer("1").ends
    assert "изменён" in phone.inbox()
    assert balance(phone) == before


def test_without_money_nothing_changes(service: Service) -> None:
    """Without enough money the refusal names what is missing; no order is made and nothing is taken."""
    phone = service.phone(POOR).activated()
    before, tariff = balance(phone), phone.walk("*111*1#").text
    phone.walk("*111*2#", "1")
    refused = through_pages(phone, phone.answer("1"))
    assert "Не хватает" in refused
    assert balance(phone) == before
    assert phone.walk("*111*1#").text == tariff
    assert not service.smsc.seen(lambda message: message.destination == POOR and message.op is None)


def test_a_service_is_added_and_removed(service: Service) -> None:
    """A service is added by SMS and listed as one's own; removing it by SMS is free."""
    phone = service.phone().activated()
    assert phone.text("111", "услуги") == 0
    assert phone.text("111", "1") == 0
    numbers = dict(re.findall(r"(GOOD'OK).*?\(номер (\d+)\)", phone.inbox() + phone.inbox()))
    number = numbers["GOOD'OK"]
    assert phone.text("111", f"услуга {number}") == 0
    assert "GOOD'OK" in phone.inbox()
    assert phone.text("111", "да") == 0
    assert "GOOD'OK" in phone.inbox() + phone.inbox()
    assert "GOOD'OK" in phone.walk("*111#", "3", "2").text
    before = balance(phone)
    assert phone.text("111", f"убрать {number}") == 0
    phone.inbox()
    assert phone.text("111", "1") == 0
    assert "GOOD'OK" in phone.inbox() + phone.inbox()
    assert "GOOD'OK" not in phone.walk("*111#", "3", "2").text
    assert balance(phone) == before


# Redelivery -----------------------------------------------------------------------------------------------------------


def test_a_redelivered_confirmation_charges_once(service: Service) -> None:
    """A confirmation that the network delivers twice gets the same answer twice, one order and one receipt."""
    phone = service.phone().activated()
    before = balance(phone)
    phone.walk("*111#", "2", "1")
    price = rubles(through_pages(phone, phone.answer("1")).partition(": ")[2])
    first = phone.answer("1")
    second = phone.redeliver()
    assert (second.text, second.op) == (first.text, first.op)
    assert "изменён" in phone.inbox()
    assert balance(phone) == before - price
    assert not service.smsc.seen(lambda message: message.destination == phone.msisdn)


def test_a_redelivery_after_a_reconnect_gets_the_same_answer(service: Service) -> None:
    """An answer that the network repeats over a new link, as it does after losing ours, changes nothing twice."""
    phone = service.phone().activated()
    first = phone.walk("*111#", "2")
    service.smsc.tell(do="drop")
    assert service.smsc.event("bind")["granted"]
    phone.last["sequence"] = service.smsc.next_sequence()
    assert phone.redeliver().text == first.text
    assert "Супер Ноль" in phone.answer("1").text


# Languages and the wire -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "coding", "words"),
    [("1", UCS2, "Тарифы"), ("2", GSM, "Tariffs"), ("3", GSM, "Tarify")],
    ids=["Russian", "English", "Russian in Latin letters"],
)
def test_the_language_decides_the_encoding(service: Service, option: str, coding: int, words: str) -> None:
    """Each language is chosen in the menu and speaks from the next screen on, in the alphabet that it needs."""
    phone = service.phone().activated()
    done = phone.walk("*111#", "5", option)
    menu = phone.dial("*111#")
    assert (done.data_coding, menu.data_coding) == (coding, coding)
    assert words in menu.text
    assert (RUSSIAN.search(menu.text) is not None) == (coding == UCS2)
    assert phone.text("111", "?") == 0
    assert phone.next_part().data_coding == coding


@pytest.mark.parametrize("language", ["1", "2", "3"])
def test_no_screen_is_cut_or_too_long(service: Service, language: str) -> None:
    """Every screen of every branch that a subscriber can open fits 182 septets or 160 octets, SMS their own limits."""
    phone = service.phone().activated()
    phone.walk("*111#", "5", language)
    for option in "1234567":
        explore(phone, ["*111#", option], depth=3)
    for text in ("?", "tariffs", "services", "my services"):
        assert phone.text("111", text) == 0
        phone.inbox()
    for message in phone.history:
        assert_fits(message)
    assert len(phone.history) > 30


def explore(phone: Phone, path: list[str], depth: int) -> None:
    """Open the screen that a path leads to, and those behind its first options and its next pages."""
    phone.hang_up()
    screen = phone.dial("*111#")
    if "?" in screen.text.partition("\n")[0]:
        screen = phone.answer("2")  # not to be resumed: start again
    for answer in path[1:]:
        if screen.ends:
            return
        screen = phone.answer(answer)
    if screen.ends or depth == 0:
        return
    for option in ("1", "9", "2"):
        if re.search(rf"^{option}\W", screen.text, re.MULTILINE) and not is_order(screen.text):
            explore(phone, [*path, option], depth - 1)


def is_order(text: str) -> bool:
    """Whether the next 1 would order or deactivate something; what follows is short and tested elsewhere."""
    return any(
        word in text for word in ("Останется", "Left:", "Ostanetsya", "Отключить Пом", "Deactivate", "Otklyuchit")
    )
