"""SMS wait their turn: at the agreed rate, in order through a throttling, and for as long as they are worth it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from smpp.alphabets import decode
from smpp.constants import Status, status_name
from tests.ussd_server.channels.test_gateway import Line, dialled, make_account, play
from tests.ussd_server.turns.bench import MANNERS, MSISDN
from ussd_server.channels.gateway import Gateway
from ussd_server.channels.pace import Pace
from ussd_server.channels.sms import SendOutcome
from ussd_server.outbox.performers import Performers
from ussd_server.outbox.pushes import Pusher
from ussd_server.outbox.worker import Outbox
from ussd_server.secrecy.secrets import Secret
from ussd_server.smsc_url import SmscUrl
from ussd_server.stores.base import Change
from ussd_server.turns.turn import sms as sms_entry


def texts(at: Line) -> list[str]:
    """Return what was submitted, in its order."""
    return [decode(message.user_data, message.data_coding) for message in at.smsc.submitted]


@pytest.mark.parametrize("status", [Status.RTHROTTLED, Status.RMSGQFUL])
def test_a_throttling_holds_all_sms_in_their_order_and_lets_ussd_pass(tmp_path: Path, status: Status) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [status, status, Status.ROK]
        sending = [asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, f"{n}", n)) for n in range(5)]
        await at.until(lambda: at.bench.metrics.throttled[at.account.name] == 2)
        await at.hear(dialled("*111*2163#"), 4)
        assert texts(at) == ["0", "1", "2", "Activated."]
        assert {(await one).result for one in sending} == {"sent"}
        assert texts(at)[4:] == ["0", "1", "3", "4"]
        assert at.bench.metrics.sms_limit[at.account.name]() > 0

    play(tmp_path, story, window=6)


def test_a_slower_rate_is_kept_over_a_reconnect(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [Status.RTHROTTLED]
        sending = asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, "Hello", 7))
        await at.until(lambda: at.bench.metrics.throttled[at.account.name] == 1)
        limit = at.bench.metrics.sms_limit[at.account.name]()
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: len(at.smsc.binds) == 2 and at.account.bound)
        assert at.bench.metrics.sms_limit[at.account.name]() == limit
        assert (await sending).result == "sent"

    play(tmp_path, story)


def test_a_screen_that_is_throttled_twice_is_dropped(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [Status.RTHROTTLED, Status.RTHROTTLED]
        await at.hear(dialled(), 2)
        await at.until(lambda: at.bench.metrics.pdu_errors["out", "ussd answer lost"] == 1)
        assert at.bench.metrics.throttled[at.account.name] == 2
        assert at.bench.metrics.sms_limit[at.account.name]() > 0, "SMS make room"
        assert (await at.hear(dialled(session=2), 3))[2] == texts(at)[0]

    play(tmp_path, story)


def test_the_rate_counts_parts_and_screens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waited = Pace.wait, [0.0]

    def noted(pace: Pace, now: float) -> float:
        waited.append(wait(pace, now))
        return waited[-1]

    monkeypatch.setattr(Pace, "wait", noted)

    async def story(at: Line) -> None:
        await at.hear(dialled("*111*2163#"), 1)
        assert (await at.account.outgoing.send_sms("111", MSISDN, "слово " * 40, 7)).result == "sent"
        assert len(at.smsc.submitted) == 5
        assert 0 < max(waited) <= 0.2

    play(tmp_path, story, rate=10)


def test_an_sms_that_nobody_waits_for_any_more_is_not_sent(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        sending = [asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, text, 7)) for text in "abc"]
        await asyncio.sleep(0)
        sending[1].cancel()
        assert [(await sending[n]).result for n in (0, 2)] == ["sent", "sent"]
        assert texts(at) == ["a", "c"]

    play(tmp_path, story, rate=50)


def test_the_rest_of_a_long_sms_that_nobody_waits_for_any_more_is_not_sent(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        sending = asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, "слово " * 110, 7))
        await at.until(lambda: len(at.smsc.submitted) >= 1)
        sending.cancel()
        assert (await at.account.outgoing.send_sms("111", MSISDN, "z", 8)).result == "sent"
        assert texts(at)[-1] == "z"
        assert len(at.smsc.submitted) < 6, "of ten parts"
        assert at.account.outgoing.sending == 0

    play(tmp_path, story, rate=10)


def test_what_waits_when_the_last_link_goes_is_told_at_once(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.silent = True
        sending = [asyncio.ensure_future(at.account.outgoing.send_sms("111", MSISDN, text, 7)) for text in "abc"]
        await at.until(lambda: len(at.smsc.submitted) == 1)
        assert at.bench.metrics.sms_waiting[at.account.name]() == 3
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        outcomes = [await one for one in sending]
        assert [outcome.result for outcome in outcomes] == ["later"] * 3
        assert [outcome.reason for outcome in outcomes] == ["the link was lost", *["no bound link takes it"] * 2]
        assert at.bench.metrics.sms_waiting[at.account.name]() == 0

    play(tmp_path, story, window=2)


def test_a_slow_account_does_not_take_the_others_slots(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        other = make_account(SmscUrl("other", Secret("password"), "127.0.0.1", 1), at.bench)
        gateway = Gateway([at.account, other], 4)
        at.smsc.silent = True
        sending = [asyncio.ensure_future(gateway.send_sms(at.account.name, "111", MSISDN, "?", n)) for n in range(2)]
        await at.until(lambda: len(at.smsc.submitted) == 2)
        turned_away = await gateway.send_sms(at.account.name, "111", MSISDN, "?", 7)
        assert turned_away == SendOutcome("later", "as many SMS wait for this SMSC as may", crowded=True)
        assert (await gateway.send_sms(other.name, "111", MSISDN, "?", 7)).reason == "no bound link takes it"
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        assert {(await one).result for one in sending} == {"later"}
        at.smsc.silent = False
        await at.until(lambda: len(at.smsc.binds) == 2 and at.account.bound)
        assert (await gateway.send_sms(at.account.name, "111", MSISDN, "?", 7)).result == "sent"

    play(tmp_path, story)


# What is tried again, and what is not -----------------------------------------------------------------------------


class Sending:
    """An outbox that sends by the account, and one SMS in it."""

    def __init__(self, at: Line) -> None:
        self.at, self.bench = at, at.bench
        gateway = Gateway([at.account], 64)
        performers = Performers(
            self.bench.store,
            self.bench.resources,
            gateway,
            self.bench.operator,
            self.bench.vault,
            self.bench.hasher,
            self.bench.tools,
            "111",
            Pusher(
                self.bench.store,
                self.bench.resources,
                gateway,
                self.bench.tools,
                self.bench.metrics,
                MANNERS,
            ),
            self.bench.deliveries,
        )
        self.outbox = Outbox(self.bench.store, performers.by_kind(), self.bench.metrics, lambda: self.bench.now)

    async def put(self) -> None:
        """Have an SMS committed, and the outbox begin."""
        record, version = await self.bench.store.load(MSISDN)
        entry = sms_entry("one", "111", "Hello", self.bench.now, account=self.at.account.name, validity_ms=60_000)
        assert await self.bench.store.commit(Change(version, record, outbox=(entry,)))
        self.outbox.start()

    def performed(self, result: str) -> int:
        """Return how many times it ended so."""
        return self.bench.metrics.outbox["sms", result]

    async def pass_time(self, ms: int) -> None:
        """Let time go on."""
        self.bench.now += ms
        self.outbox.wake()

    async def given_up(self) -> str:
        """Return why, once it is."""
        await self.at.until(lambda: self.performed("hopeless") == 1 and not self.outbox.under_way)
        assert await self.bench.store.next_due() is None
        (entry,) = await self.bench.store.journal(MSISDN, "given_up")
        return str(entry.data["reason"])

    async def end(self) -> str:
        """Return how the SMS ended."""
        (entry,) = await self.bench.store.journal(MSISDN, "sms ended")
        return str(entry.data["outcome"])


def playing_outbox(
    directory: Path, story: Callable[[Line, Sending], Awaitable[None]], statuses: Sequence[int], silent: bool = False
) -> None:
    """Run a story on an SMSC that answers submits so, and not at all while it is silent."""

    async def with_outbox(at: Line) -> None:
        at.smsc.statuses, at.smsc.silent = list(statuses), silent
        sending = Sending(at)
        await sending.put()
        try:
            await story(at, sending)
        finally:
            await sending.outbox.stop(1)

    play(directory, with_outbox)


@pytest.mark.parametrize("status", [Status.RINVDSTADR, Status.RSUBMITFAIL, 0x4FF])
def test_a_permanent_error_ends_an_sms_at_once(tmp_path: Path, status: int) -> None:
    async def story(at: Line, sending: Sending) -> None:
        assert (await sending.given_up()) == f"the SMSC refused it: {status_name(status)}"
        assert await sending.end() == "failed"
        assert len(at.smsc.submitted) == 1

    playing_outbox(tmp_path, story, [status])


@pytest.mark.parametrize("status", [Status.RINVBNDSTS, Status.RSYSERR, Status.RX_T_APPN])
def test_a_transient_error_is_tried_again_until_the_sms_is_worth_nothing_any_more(
    tmp_path: Path, status: Status
) -> None:
    async def story(at: Line, sending: Sending) -> None:
        await at.until(lambda: sending.performed("later") == 1 and not sending.outbox.under_way)
        await sending.pass_time(1_000)
        await at.until(lambda: sending.performed("later") == 2 and not sending.outbox.under_way)
        await sending.pass_time(60_000)
        assert (await sending.given_up()) == "it expired before it could be done"
        assert await sending.end() == "expired"
        assert len(at.smsc.submitted) == 2

    playing_outbox(tmp_path, story, [status] * 100)


def test_a_link_that_goes_with_an_sms_under_way_has_it_sent_again(tmp_path: Path) -> None:
    async def story(at: Line, sending: Sending) -> None:
        await at.until(lambda: len(at.smsc.submitted) == 1)
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        await at.until(lambda: sending.performed("later") == 1 and not sending.outbox.under_way and at.account.bound)
        at.smsc.silent = False
        await sending.pass_time(1_000)
        await at.until(lambda: sending.performed("done") == 1)
        assert texts(at) == ["Hello", "Hello"]

    playing_outbox(tmp_path, story, [], silent=True)
