"""Who may bind, and by which of a service's links its dialogues go."""

import asyncio

import pytest

from smpp import alphabets, ussd
from smpp.constants import Status
from smpp.pdu import Message
from tests.ussd_server.simulator.esme import MUTE, Esme
from tests.ussd_server.simulator.handset import NUMBER, Watched, simulator
from tests.ussd_server.simulator.scenes import played, service, session_of
from ussd_server.simulator.protocol import Dial


async def first_of(one: Esme, other: Esme) -> tuple[Message, Esme, Esme]:
    """Return what is delivered to either, who got it, and who did not."""
    waiting = {asyncio.create_task(esme.delivered.get()): esme for esme in (one, other)}
    done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    (got,) = done
    return got.result(), waiting[got], one if waiting[got] is other else other


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [("ussd", "wrong", Status.RINVPASWD), ("nobody", "demo", Status.RINVSYSID), ("ussd", "", Status.RINVPASWD)],
)
def test_a_bind_with_a_wrong_name_or_password_is_refused(system_id: str, password: str, status: Status) -> None:
    async def play() -> None:
        async with simulator() as watched, service(watched, system_id, password) as esme:
            assert esme.refused_with == status
            assert watched.smsc.hello().network.binds == ()

    asyncio.run(play())


def test_anybody_may_bind_where_no_accounts_are_given() -> None:
    async def play() -> None:
        async with simulator(anybody=True) as watched, service(watched, "whoever", "x") as esme:
            assert esme.bound.is_set()
            (bound,) = watched.smsc.hello().network.binds
            assert (bound.system_id, bound.mode) == ("whoever", "transceiver")

    asyncio.run(play())


def test_another_account_cannot_speak_in_the_dialogue() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        phone.do(Dial(NUMBER, "*999#"))
        begin = await esme.delivered.get()
        async with service(phone, "other", "demo2") as intruder:
            intruder.submit(ussd.reply(begin, alphabets.choose("x"), ends=True))
            assert await intruder.statuses.get() == Status.RINVOPTPARAMVAL
        assert phone.dialogue().turn == "service"

    played(scenario)


def test_a_dialogue_moves_to_the_accounts_other_link_and_ends_with_the_last() -> None:
    async def scenario(phone: Watched, esme: Esme) -> None:
        async with service(phone) as second:
            phone.do(Dial(NUMBER, MUTE))
            begin, one, other = await first_of(esme, second)
            await one.stop()
            again = await other.delivered.get()
            assert (session_of(again), again.short_message) == (session_of(begin), MUTE.encode())
            assert phone.dialogue().turn == "service"
            await other.stop()
            assert (await phone.over()).reason == "lost"

    played(scenario)
