"""Every fault of the simulator against the real server: nothing is lost, and what the fault does not touch goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpp.constants import CommandId, Status
from tests.ussd_server.simulator.handset import NUMBER, OTHER, Watched
from ussd_server.app import Server
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import load as settings
from ussd_server.simulator.fault_file import parse
from ussd_server.simulator.faults import Fault, Script
from ussd_server.simulator.protocol import Answer, Calm, Dial, Inject, Write
from ussd_server.simulator.smsc import Smsc

PATIENCE_S = 100.0
"""For a whole story; only a test that fails takes so long."""
SERVICE = "111"
TEXTS = ("баланс", "помощь", "тарифы")
"""Several SMS of one text could be taken for a repetition."""
SOON = "&enquire_s=1&response_s=1&bind_s=1"
"""So that a silent peer is given up."""


class Product:
    """The server, the simulator that it is bound to, and two phones."""

    def __init__(self, smsc: Smsc, binds: int) -> None:
        self.phones = Watched(smsc)
        self.binds = binds

    def suffer(self, kind: str, **fields: object) -> None:
        assert self.phones.do(Inject(Fault(kind, **fields))) is None  # type: ignore[arg-type]

    async def dial(self, code: str, msisdn: str = NUMBER) -> str:
        assert self.phones.do(Dial(msisdn, code)) is None
        return await self.screen(msisdn)

    async def answer(self, text: str, msisdn: str = NUMBER) -> str:
        assert self.phones.do(Answer(msisdn, text)) is None
        return await self.screen(msisdn)

    async def screen(self, msisdn: str = NUMBER) -> str:
        """Wait for what the service shows now."""
        await self.phones.until(lambda: self.phones.dialogue(msisdn).turn != "service")
        dialogue = self.phones.dialogue(msisdn)
        assert dialogue.reason in (None, "ended"), dialogue
        return dialogue.screen

    async def ordered(self, text: str = "баланс") -> None:
        """Write an SMS, and wait until the service has taken it and its answer has come."""
        came = len(await self.phones.inbox(0))
        self.phones.do(Write(NUMBER, SERVICE, text))
        await self.answered(came)

    async def answered(self, before: int) -> None:
        messages = await self.phones.inbox(before + 1)
        assert "Баланс" in messages[-1].text
        await self.phones.delivery("sent")

    async def bound(self, but: set[int] = frozenset()) -> set[int]:  # type: ignore[assignment]
        """Wait until all connections are bound, none of them `but` these; return their numbers."""

        def links() -> set[int]:
            return {bound.link for bound in self.phones.smsc.hello().network.binds}

        await self.phones.until(lambda: len(links()) == self.binds and not but >= links())
        return links()

    def statuses(self, command: str) -> list[int]:
        return [entry.status for entry in self.phones.smsc.hello().wire if entry.command == command]

    def went(self, command: str) -> int:
        return len(self.statuses(command))


Story = Callable[[Product], Awaitable[None]]


@asynccontextmanager
async def product(data: Path, binds: int, script: Script | None, options: str) -> AsyncIterator[Product]:
    smsc = Smsc("127.0.0.1", 0, {"ussd": Secret("demo")}, [NUMBER, OTHER], faults=script)
    await smsc.start()
    at = Product(smsc, binds)
    url = f"smpp://ussd:demo@127.0.0.1:{smsc.port}?binds={binds}{options}"
    server = Server(settings({"data": data, "smsc": [url]}))
    await server.start()
    try:
        await at.bound()
        yield at
    finally:
        await server.stop()
        await smsc.stop()


def play(data: Path, story: Story, binds: int = 1, script: Script | None = None, options: str = "") -> None:
    """Play a story with two phones that have the service; the second one is in a dialogue that no fault is to touch."""

    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S), product(data, binds, script, options) as at:
            if script is None:
                for msisdn in (NUMBER, OTHER):
                    assert "подключён" in await at.dial("*111*2163#", msisdn)
            await story(at)

    asyncio.run(main())


def test_a_connection_is_cut_and_the_dialogue_goes_on_by_the_other(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        before = await at.bound()
        at.suffer("drop")
        await at.ordered()
        tariffs = await at.answer("2", OTHER)
        assert tariffs != menu
        assert await at.answer("0", OTHER) == menu
        assert await at.bound(but=before) != before

    play(tmp_path, story, binds=2)


def test_the_only_connection_is_cut_while_an_sms_is_answered(tmp_path: Path) -> None:
    """The phone's SMS is taken and the answer to it sent, at least once each."""

    async def story(at: Product) -> None:
        before = await at.bound()
        at.phones.do(Write(NUMBER, SERVICE, "баланс"))
        at.suffer("drop")
        await at.answered(0)
        await at.bound(but=before)
        assert "Тарифы" in await at.dial("*111#")

    play(tmp_path, story)


def test_what_is_late_comes_all_the_same(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        at.suffer("delay", by_ms=100, for_ms=60_000)
        menu = await at.dial("*111#", OTHER)
        await at.ordered()
        assert await at.answer("2", OTHER) != menu
        at.phones.do(Calm())
        assert at.phones.smsc.hello().network.faults == ()
        assert await at.answer("0", OTHER) == menu

    play(tmp_path, story)


def test_what_is_delivered_twice_is_done_once(tmp_path: Path) -> None:
    """Both get the same answer, and the tariff is changed once."""

    async def story(at: Product) -> None:
        at.suffer("duplicate", messages=5)
        taken, shown = at.went("deliver_sm_resp"), at.went("submit_sm_resp")
        screens = []
        for count, text in enumerate(("*111#", "2", "2", "1", "1"), 1):
            screens.append(await (at.answer(text) if screens else at.dial(text)))
            # Only when the second answer has come as well: else it could be taken for that to the next input.
            await at.phones.until(lambda count=count: at.went("submit_sm_resp") >= shown + 2 * count)
        assert "Останется" in screens[3]
        assert at.phones.dialogue().reason == "ended"
        assert at.went("deliver_sm_resp") == taken + 10
        assert set(at.statuses("deliver_sm_resp")) == {0}
        await at.phones.until(lambda: any("изменён" in message.text for message in at.phones.phone().messages))
        await at.ordered()
        texts = [message.text for message in await at.phones.inbox()]
        assert len([text for text in texts if "изменён" in text]) == 1
        assert "260 руб." in texts[-1]  # of 350: the change was charged once

    play(tmp_path, story)


def test_parts_that_come_the_last_one_first_are_one_sms(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        at.suffer("reorder", messages=3)
        await at.ordered("баланс" + " " * 150)  # three parts
        parts = [
            entry.part.index for entry in at.phones.smsc.hello().wire if entry.part and entry.command == "deliver_sm"
        ]
        assert parts == [3, 2, 1]
        assert await at.answer("2", OTHER) != menu

    play(tmp_path, story)


@pytest.mark.parametrize("status", [Status.RTHROTTLED, Status.RMSGQFUL])
def test_while_sms_are_throttled_dialogues_go_on(tmp_path: Path, status: Status) -> None:
    async def story(at: Product) -> None:
        at.suffer("throttle", for_ms=60_000, status=int(status), only="sms")
        at.phones.do(Write(NUMBER, SERVICE, "баланс"))
        menu = await at.dial("*111#", OTHER)
        await at.phones.until(lambda: status in at.statuses("submit_sm_resp"))
        assert await at.answer("2", OTHER) != menu
        at.phones.do(Calm())
        await at.answered(0)

    play(tmp_path, story)


def test_a_rate_lets_through_what_it_allows(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        at.suffer("throttle", for_ms=60_000, rate=1, only="sms")
        for text in TEXTS:
            at.phones.do(Write(NUMBER, SERVICE, text))
        assert len(await at.phones.inbox(3)) == 3
        assert Status.RTHROTTLED in at.statuses("submit_sm_resp")

    play(tmp_path, story)


def test_an_sms_that_is_refused_for_now_goes_out_later(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        at.suffer("refuse", status=int(Status.RSYSERR), messages=2, only="sms")
        menu = await at.dial("*111#", OTHER)
        await at.ordered()
        assert at.statuses("submit_sm_resp").count(Status.RSYSERR) == 2
        assert await at.answer("2", OTHER) != menu

    play(tmp_path, story)


def test_after_garbage_there_is_a_new_connection(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        before = await at.bound()
        at.suffer("garbage", octets="ff" * 40)
        await at.bound(but=before)
        assert Status.RINVCMDLEN in at.statuses("generic_nack")
        await at.ordered()
        assert await at.answer("2", OTHER) != menu

    play(tmp_path, story, binds=2)


def test_a_pdu_that_comes_in_two_halves_is_read(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        before = await at.bound()
        at.suffer("half", for_ms=200)
        assert "Тарифы" in await at.dial("*111#")
        await at.ordered()
        assert await at.answer("2", OTHER) != menu
        assert await at.bound() == before

    play(tmp_path, story)


def test_half_a_pdu_and_then_the_end_loses_no_sms(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        before = await at.bound()
        at.suffer("half")
        for text in TEXTS[:2]:  # one of the two goes by the connection that suffers
            at.phones.do(Write(NUMBER, SERVICE, text))
        await at.phones.inbox(2)
        await at.phones.delivery("sent")
        await at.bound(but=before)
        assert await at.answer("2", OTHER) != menu

    play(tmp_path, story, binds=2)


def test_a_peer_that_does_not_read_is_waited_for(tmp_path: Path) -> None:
    async def story(at: Product) -> None:
        menu = await at.dial("*111#", OTHER)
        at.suffer("slow", for_ms=500)
        await at.ordered()
        assert await at.answer("2", OTHER) != menu

    play(tmp_path, story)


def test_a_silent_peer_is_left_and_bound_again(tmp_path: Path) -> None:
    """It answers no enquire_link and then no bind; what was to be sent is sent when it speaks again."""

    async def story(at: Product) -> None:
        before = await at.bound()
        at.suffer("silent", for_ms=60_000)
        at.phones.do(Write(NUMBER, SERVICE, "баланс"))
        await at.phones.until(lambda: at.went("bind_transceiver") > 1)
        at.phones.do(Calm())
        await at.answered(0)
        await at.bound(but=before)
        assert "Тарифы" in await at.dial("*111#", OTHER)

    play(tmp_path, story, options=SOON)


def test_a_script_plays_from_the_start(tmp_path: Path) -> None:
    """Its faults come in their order, by time and by messages, and the service gets through all of them."""
    script = parse(
        """
        faults:
          - {after: 10 ms, fault: delay, by: 20 ms, for: 2 s}
          - {after: 3 messages, fault: refuse, status: ESME_RSYSERR, messages: 1, only: sms}
          - {after: 2 messages, fault: drop}
          - {after: 1 message, fault: duplicate, messages: 2}
        """,
        "day.yaml",
    )

    async def story(at: Product) -> None:
        first = await at.bound()
        for _ in range(2):
            at.phones.do(Write(NUMBER, "2163", "111"))
            await at.phones.delivery("sent")
        await at.bound(but=first)
        await at.phones.inbox()
        assert "Тарифы" in await at.dial("*111#", OTHER)
        assert Status.RSYSERR in at.statuses("submit_sm_resp")
        assert {entry.problem for entry in at.phones.smsc.hello().wire} == {""}

    play(tmp_path, story, script=script)


def test_what_cannot_be_is_not_begun(tmp_path: Path) -> None:
    async def main() -> None:
        smsc = Smsc("127.0.0.1", 0, None, [NUMBER])
        await smsc.start()
        try:
            phones = Watched(smsc)
            assert phones.do(Inject(Fault("drop"))) == "nobody_bound"
            assert phones.do(Inject(Fault("silent"))) == "bad_command"
            assert smsc.hello().network.faults == ()
            assert phones.do(Inject(Fault("silent", for_ms=60_000))) is None
            assert [going.kind for going in smsc.hello().network.faults] == ["silent"]
            assert CommandId.BIND_TRANSCEIVER.name.lower() not in {entry.command for entry in smsc.hello().wire}
        finally:
            await smsc.stop()

    asyncio.run(main())
