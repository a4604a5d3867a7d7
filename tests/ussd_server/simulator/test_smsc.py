"""The simulator treats a real ESME as an operator's gateway and message centre do."""

import asyncio

import pytest

from smpp import alphabets, ussd
from smpp.constants import CommandId, EsmClass, Status, Tag
from smpp.pdu import Message
from smpp.reassembly import mark_of
from smpp.segments import STYLES, Style, split
from tests.ussd_server.simulator.esme import BALANCE, CODE_TEXT, LONG_TEXT, MENU, TARIFFS, Esme
from tests.ussd_server.simulator.handset import NUMBER, OTHER, Watched, simulator
from tests.ussd_server.simulator.scenes import played, session_of
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.protocol import (
    Add,
    Answer,
    Cancel,
    Clear,
    Delay,
    Dial,
    Dismiss,
    Drop,
    Forget,
    Redeliver,
    Remove,
    Write,
)
from ussd_server.simulator.smsc import Smsc

# USSD -------------------------------------------------------------------------------------------------------------


def test_a_dialogue_goes_to_its_end() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        dialogue = await phone.screen(MENU)
        assert dialogue.usage is not None
        assert (dialogue.usage.alphabet, dialogue.usage.used, dialogue.usage.budget) == ("UCS-2", len(MENU), 80)
        phone.do(Answer(NUMBER, "1"))
        await phone.screen(TARIFFS)
        phone.do(Answer(NUMBER, "2"))
        assert (await phone.screen("До свидания")).reason == "ended"
        begin, first, second = [esme.delivered.get_nowait() for _ in range(3)]
        assert (begin.service_type, begin.destination_addr, begin.source_addr) == ("USSD", "111", NUMBER)
        assert [message.tlvs[Tag.USSD_SERVICE_OP] for message in (begin, first, second)] == [b"\x01", b"\x12", b"\x12"]
        number, *_ = session_of(begin)
        assert [session_of(message) for message in (begin, first, second)] == [
            (number, 0, False),
            (number, 1, False),
            (number, 2, False),
        ]
        assert [esme.statuses.get_nowait() for _ in range(2)] == [Status.ROK] * 2

    played(scenario)


@pytest.mark.parametrize(("dialled", "timers"), [("*999#", Timers(1, 60_000)), ("*111#", Timers(60_000, 1))])
def test_the_gateways_timer_ends_the_dialogue_whoever_is_late(dialled: str, timers: Timers) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, dialled))
        assert (await phone.over()).reason == "timeout"
        begin, abort = await esme.delivered.get(), await esme.delivered.get()
        number, *_ = session_of(begin)
        assert session_of(abort) == (number, 1, True)
        assert abort.short_message == b""

    played(scenario, timers)


@pytest.mark.parametrize(("command", "reason"), [(Cancel(NUMBER), "cancelled"), (Drop(NUMBER), "dropped")])
def test_whoever_ends_the_dialogue_the_service_is_told(command: Cancel | Drop, reason: str) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        await phone.screen(MENU)
        phone.do(command)
        assert phone.dialogue().reason == reason
        begin, abort = await esme.delivered.get(), await esme.delivered.get()
        assert session_of(abort) == (session_of(begin)[0], 1, True)
        assert isinstance(ussd.classify(abort), ussd.Abort)

    played(scenario)


def test_a_second_dial_gives_up_the_first_dialogue() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        await phone.screen(MENU)
        phone.do(Dial(NUMBER, "*100#"))
        await phone.screen(BALANCE)
        first, abort, second = [await esme.delivered.get() for _ in range(3)]
        assert session_of(abort) == (session_of(first)[0], 1, True)
        assert session_of(second) == ((session_of(first)[0] + 1) % 256, 0, False)

    played(scenario)


def test_phones_have_dialogues_of_their_own() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        phone.do(Dial(OTHER, "*100#"))
        await phone.screen(MENU)
        await phone.screen(BALANCE, OTHER)

    played(scenario)


def test_a_screen_that_nobody_waits_for_is_refused() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        await phone.screen(MENU)
        begin = await esme.delivered.get()
        assert await esme.statuses.get() == Status.ROK
        good = ussd.reply(begin, alphabets.choose("again"), ends=False)
        esme.submit(good)
        assert await esme.statuses.get() == Status.RINVOPTPARAMVAL
        for change, status in (
            ({Tag.ITS_SESSION_INFO: bytes((good.tlvs[Tag.ITS_SESSION_INFO][0] ^ 1, 0))}, Status.RINVOPTPARAMVAL),
            ({Tag.ITS_SESSION_INFO: b""}, Status.RMISSINGOPTPARAM),
        ):
            message = ussd.reply(begin, alphabets.choose("x"), ends=True)
            message.tlvs = {**message.tlvs, **change}
            esme.submit(message)
            assert await esme.statuses.get() == status
        too_long = ussd.reply(begin, alphabets.choose("ж" * 81), ends=True)
        esme.submit(too_long)
        assert await esme.statuses.get() == Status.RINVMSGLEN
        stranger = ussd.reply(begin, alphabets.choose("x"), ends=True)
        stranger.destination_addr = "79999999999"
        esme.submit(stranger)
        assert await esme.statuses.get() == Status.RINVDSTADR
        assert phone.dialogue().screen == MENU

    played(scenario)


@pytest.mark.parametrize("session", [None, 0x4200])
def test_a_notification_is_shown_and_confirmed_under_the_dialogues_number(session: int | None) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        esme.submit(ussd.push("111", NUMBER, alphabets.choose("Привет"), ends=True, session=session))
        assert await esme.statuses.get() == Status.ROK
        assert (await phone.screen("Привет")).reason == "notified"
        confirmed = ussd.classify(await esme.delivered.get())
        assert isinstance(confirmed, ussd.Confirm)
        number = phone.dialogue().session
        assert confirmed.dialogue == f"{number << 8:04x}"
        assert session is None or number == 0x42

    played(scenario)


def test_a_question_of_the_services_is_answered_and_gone_on_with() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        esme.submit(ussd.push("111", NUMBER, alphabets.choose("Continue?"), ends=False))
        assert await esme.statuses.get() == Status.ROK
        assert (await phone.screen("Continue?")).turn == "subscriber"
        phone.do(Answer(NUMBER, "1"))
        answer = ussd.classify(await esme.delivered.get())
        assert isinstance(answer, ussd.Answer)
        assert answer.text == "1"
        assert (await phone.screen(TARIFFS)).turn == "subscriber"

    played(scenario)


def test_who_has_a_dialogue_is_busy_and_a_late_answer_begins_none() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*999#"))
        begin = await esme.delivered.get()
        esme.submit(ussd.push("111", NUMBER, alphabets.choose("Hello"), ends=True))
        assert await esme.statuses.get() == Status.RX_T_APPN
        phone.do(Cancel(NUMBER))
        await esme.delivered.get()
        esme.submit(ussd.reply(begin, alphabets.choose("Late"), ends=False))
        assert await esme.statuses.get() == Status.RINVOPTPARAMVAL
        assert phone.dialogue().screen == ""

    played(scenario)


# SMS --------------------------------------------------------------------------------------------------------------


def test_an_empty_sms_brings_a_code_that_the_phone_shows_and_the_recording_does_not() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Write(NUMBER, "6262", ""))
        (code,) = await phone.inbox()
        await phone.delivery("sent")
        assert (code.peer, code.text) == ("6262", CODE_TEXT)
        sent = await esme.delivered.get()
        assert (sent.short_message, sent.destination_addr, sent.tlvs) == (b"", "6262", {})
        texts = [entry.text for entry in phone.smsc.hello().wire if entry.text]
        assert texts == [CODE_TEXT.replace("48215903", "********")]

    played(scenario)


def test_long_messages_are_joined_on_the_phone_and_divided_by_it() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Write(NUMBER, "111", "?"))
        (got,) = await phone.inbox()
        assert got.text == LONG_TEXT
        assert got.usage is not None
        assert got.usage.parts > 1
        await esme.delivered.get()
        phone.do(Write(NUMBER, "111", "ж" * 100))
        parts = [await esme.delivered.get(), await esme.delivered.get()]
        assert [part.esm_class for part in parts] == [EsmClass.UDHI] * 2
        assert "".join(alphabets.decode(part.user_data, part.data_coding) for part in parts) == "ж" * 100
        await phone.delivery("sent")

    played(scenario)


def test_a_receipt_follows_where_it_was_asked_for() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        esme.text("111", NUMBER, "hello", registered_delivery=1)
        assert await esme.statuses.get() == Status.ROK
        assert esme.delivered.empty()  # at once, it could overtake the response where they go by two links
        receipt = await esme.delivered.get()
        assert receipt.esm_class == EsmClass.DELIVERY_RECEIPT
        assert (receipt.source_addr, receipt.destination_addr) == (NUMBER, "111")
        assert receipt.text(Tag.RECEIPTED_MESSAGE_ID) == "1"
        assert b"stat:DELIVRD" in receipt.short_message
        assert [message.text for message in await phone.inbox()] == ["hello"]
        esme.text("111", NUMBER, "on failure only", registered_delivery=2)
        await phone.inbox(2)
        assert esme.delivered.empty()
        phone.do(Write(NUMBER, "111", "?"))
        assert (await esme.delivered.get()).short_message == b"?"
        esme.text("111", NUMBER, "hello", registered_delivery=1)
        await esme.delivered.get()
        phone.do(Redeliver(NUMBER))
        assert (await esme.delivered.get()).short_message == b"?"  # the phone's last message, which no receipt is

    played(scenario)


@pytest.mark.parametrize(
    ("end", "word", "state"), [("failed", b"stat:UNDELIV err:011", 5), ("expired", b"stat:EXPIRED err:001", 3)]
)
def test_no_sms_gets_to_a_phone_where_the_simulator_is_told_so(end: str, word: bytes, state: int) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        for registered in (1, 2):
            esme.text("111", NUMBER, "hello", registered_delivery=registered)
            receipt = await esme.delivered.get()
            assert word in receipt.short_message
            assert receipt.integer(Tag.MESSAGE_STATE) == state
        assert phone.phone().messages == ()

    played(scenario, end=end)


@pytest.mark.parametrize("style", STYLES)
def test_a_long_sms_goes_as_the_simulator_is_told(style: Style) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Write(NUMBER, "111", "слово " * 30))
        messages = [await esme.delivered.get()]
        while style != "payload" and len(messages) < 3:
            messages.append(await esme.delivered.get())
        assert "".join(alphabets.decode(each.user_data, each.data_coding) for each in messages) == "слово " * 30
        assert {mark.way if (mark := mark_of(each)) else "payload" for each in messages} == {style}
        await phone.delivery("sent")

    played(scenario, style=style)


@pytest.mark.parametrize("style", STYLES)
def test_a_phone_shows_a_long_sms_as_one_however_it_comes(style: Style) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        bare = Message(CommandId.SUBMIT_SM, source_addr="111", destination_addr=NUMBER)
        for part in split("слово " * 30, 7, style=style):
            esme.submit(part.into(bare))
        (got,) = await phone.inbox()
        assert got.text == "слово " * 30

    played(scenario)


def test_an_sms_that_does_not_fit_or_has_no_phone_is_refused() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        esme.text("111", "79999999999", "hello")
        assert await esme.statuses.get() == Status.RINVDSTADR
        esme.submit(Message(CommandId.SUBMIT_SM, source_addr="111", destination_addr=NUMBER, short_message=b"a" * 161))
        assert await esme.statuses.get() == Status.RINVMSGLEN
        assert phone.phone().messages == ()

    played(scenario)


# The network ------------------------------------------------------------------------------------------------------


def test_a_delay_keeps_the_order_both_ways() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        assert phone.do(Delay(5)) is None
        phone.do(Dial(NUMBER, "*111#"))
        for text in ("one", "two", "three"):
            phone.do(Write(NUMBER, "5", text))
        assert esme.delivered.empty()
        begin, *texts = [await esme.delivered.get() for _ in range(4)]
        assert begin.short_message == b"*111#"
        assert [message.short_message for message in texts] == [b"one", b"two", b"three"]
        await phone.screen(MENU)
        phone.do(Delay(0))
        for text in ("four", "five"):
            phone.do(Write(NUMBER, "5", text))
        assert [(await esme.delivered.get()).short_message for _ in range(2)] == [b"four", b"five"]

    played(scenario)


def test_bad_commands_change_nothing() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        before = phone.smsc.hello()
        for command, problem in (
            (Dial("79999999999", "*111#"), "bad_number"),
            (Dial(NUMBER, ""), "bad_text"),
            (Dial(NUMBER, "1" * 183), "bad_text"),
            (Answer(NUMBER, "ж" * 81), "bad_text"),
            (Write(NUMBER, "", "x"), "bad_number"),
            (Write(NUMBER, "1" * 21, "x"), "bad_number"),
            (Write(NUMBER, "Привет", "x"), "bad_number"),
            (Write(NUMBER, "111", "x" * 2001), "bad_text"),
            (Delay(-1), "bad_command"),
            (Delay(60_001), "bad_command"),
            (Add("12"), "bad_number"),
            (Add("٧٩١٠٠٠٠"), "bad_number"),
        ):
            assert phone.do(command) == problem
        after = phone.smsc.hello()
        assert (after.phones, after.network) == (before.phones, before.network)
        assert esme.delivered.empty()

    played(scenario)


def test_phones_come_and_go() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        third = "79100000003"
        phone.do(Add(third))
        phone.do(Add(third))
        assert [view.msisdn for view in phone.smsc.hello().phones] == [NUMBER, OTHER, third]
        phone.do(Dial(third, "*111#"))
        await phone.screen(MENU, third)
        phone.do(Remove(third))
        assert [view.msisdn for view in phone.smsc.hello().phones] == [NUMBER, OTHER]
        begin, abort = await esme.delivered.get(), await esme.delivered.get()
        assert session_of(abort) == (session_of(begin)[0], 1, True)
        for number in range(60):
            problem = phone.do(Add(f"7920{number:07d}"))
        assert problem == "too_many"

    played(scenario)


def test_screens_messages_and_the_recording_can_be_put_away() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*100#"))
        await phone.screen(BALANCE)
        phone.do(Dismiss(NUMBER))
        assert phone.phone().dialogue is None
        phone.do(Write(NUMBER, "2163", "111"))
        await phone.inbox()
        phone.do(Forget(NUMBER))
        assert phone.phone().messages == ()
        phone.do(Clear())
        assert phone.smsc.hello().wire == ()

    played(scenario)


def test_a_port_in_use_is_an_error() -> None:
    async def play() -> None:
        async with simulator() as watched:
            with pytest.raises(OSError, match="in use"):
                await Smsc("127.0.0.1", watched.smsc.port).start()

    asyncio.run(play())
