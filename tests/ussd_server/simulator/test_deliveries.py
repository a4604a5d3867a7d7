"""What no service takes: an SMS is kept and tried again, a dialogue ends; and what is delivered once more."""

import asyncio

import pytest

from smpp.constants import CommandId, Status
from tests.ussd_server.simulator.esme import MENU, TARIFFS, Esme
from tests.ussd_server.simulator.handset import NUMBER, Watched, simulator
from tests.ussd_server.simulator.scenes import played, service
from ussd_server.simulator.protocol import Answer, Delay, Dial, Redeliver, Write


def test_without_a_service_the_phone_shows_a_network_error() -> None:
    async def play() -> None:
        async with simulator() as watched:
            assert watched.do(Dial(NUMBER, "*111#")) is None
            assert (await watched.over()).reason == "unreachable"
            transmitter = await Esme().start(watched.smsc.port, CommandId.BIND_TRANSMITTER)
            watched.do(Dial(NUMBER, "*111#"))
            assert (await watched.over()).reason == "unreachable"
            await transmitter.stop()

    asyncio.run(play())


def test_a_service_that_refuses_the_message_ends_the_dialogue() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*666#"))
        assert (await phone.over()).reason == "refused"

    played(scenario)


def test_redelivery_is_the_same_message_under_a_new_sequence_number() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*111#"))
        await phone.screen(MENU)
        phone.do(Answer(NUMBER, "1"))
        await phone.screen(TARIFFS)
        phone.do(Redeliver(NUMBER))
        _, answer, again = [await esme.delivered.get() for _ in range(3)]
        assert again.sequence != answer.sequence
        again.sequence = answer.sequence
        assert again == answer
        # The service answers twice; the second answer is what the phone shows already.
        assert [await esme.statuses.get() for _ in range(3)] == [Status.ROK] * 3
        assert phone.dialogue().turn == "subscriber"

    played(scenario)


@pytest.mark.parametrize("delay_ms", [0, 5])
def test_a_phone_says_when_there_is_something_to_deliver_again(delay_ms: int) -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        assert not phone.phone().delivered
        phone.do(Delay(delay_ms))
        phone.do(Dial(NUMBER, "*111#"))
        assert phone.phone().delivered == (delay_ms == 0)
        await phone.screen(MENU)
        assert phone.phone().delivered

    played(scenario)


def test_an_sms_waits_for_a_service_to_bind() -> None:
    async def play() -> None:
        async with simulator() as watched:
            watched.do(Write(NUMBER, "2163", "111"))
            await watched.delivery("waiting")
            async with service(watched) as esme:
                await watched.delivery("sent")
                assert (await esme.delivered.get()).short_message == b"111"

    asyncio.run(play())


def test_an_sms_that_is_refused_for_good_is_not_tried_again_and_one_for_now_is() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        esme.sms_status = Status.RX_P_APPN
        phone.do(Write(NUMBER, "2163", "111"))
        await phone.delivery("refused")
        esme.sms_status = Status.RX_T_APPN
        phone.do(Write(NUMBER, "2163", "111"))
        await phone.delivery("waiting")
        esme.sms_status = Status.ROK
        async with service(phone):  # what waits is tried again when somebody binds
            await phone.inbox()
            assert [m.delivery for m in phone.phone().messages if m.outgoing] == ["refused", "sent"]

    played(scenario)
