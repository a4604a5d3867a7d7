"""What the outbox tries again by an account, and what it does not."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from smpp.constants import Status, status_name
from tests.ussd_server.channels.line import Line, play, texts
from tests.ussd_server.turns.bench import MANNERS, MSISDN, sms_entry
from ussd_server.channels.gateway import Gateway
from ussd_server.outbox.performers import Performers
from ussd_server.outbox.pushes import Pusher
from ussd_server.outbox.worker import Outbox
from ussd_server.stores.base import Change


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
        self.outbox = outbox = Outbox(
            self.bench.store, performers.by_kind(), self.bench.metrics, lambda: self.bench.now, give_up=gateway.give_up
        )
        at.account.outgoing._told = lambda sms, outcome: outbox.ended(sms, performers.sms_ended(outcome))

    async def put(self) -> None:
        """Have an SMS committed, and the outbox begin."""
        record, version = await self.bench.store.load(MSISDN)
        entry = sms_entry("one", self.bench.now, self.at.account.name, self.bench.now + 60_000)
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
