"""A receipt ends its SMS, and is answered when that is kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from smpp.constants import Status
from tests.ussd_server.channels.line import Line, play, receipt, send, sms
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.channels.gateway import Gateway
from ussd_server.channels.sms import SendOutcome
from ussd_server.outbox.outcomes import Done, Finished, Performed
from ussd_server.stores.base import Change, OutboxEntry, StoreUnavailable


async def sent(at: Line, text: str = "Hello", came: Performed | None = None) -> None:
    """Send an SMS as the outbox does; `came` is what the outbox is told, None: that it is done."""
    bench = at.bench
    record, version = await bench.store.load(MSISDN)
    entry = OutboxEntry(bench.tools.new_id(), "sms", bench.now, {"from": "111", "text": text})
    assert await bench.store.commit(Change(version, record, outbox=[entry]))
    (claimed,) = await bench.store.claim(bench.now, 1, 30_000)
    handed_over = list[asyncio.Future[SendOutcome]]()
    gateway = Gateway([at.account], 1)
    bench.network.send_sms = lambda *arguments: handed_over.append(send(gateway, *arguments[:-1]))  # type: ignore[method-assign]
    assert bench.performers["sms"](claimed) is None
    ended = bench.sms_ended(await handed_over[0])
    assert (ended if isinstance(ended, Performed) else await ended(claimed)) == (came or Done())


async def told(at: Line) -> list[str]:
    """Return how SMS ended, oldest first."""
    return [entry.data["outcome"] for entry in reversed(await at.bench.store.journal(MSISDN, "sms ended"))]


def test_a_receipt_is_acknowledged_and_not_answered(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        receipt = sms("id:7 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:")
        receipt.esm_class = 0x04
        await at.hear(receipt, 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.store.next_due() is None

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("options", "response", "came"),
    [
        ({}, "00aF", "00aF"),
        ({"response_id": "hex", "receipt_id": "dec"}, "2A", "0000000042"),
        ({"response_id": "dec", "receipt_id": "hex"}, "42", "0000002a"),
    ],
)
def test_a_receipt_ends_its_sms_in_the_journal(
    tmp_path: Path, options: dict[str, Any], response: str, came: str
) -> None:
    async def story(at: Line) -> None:
        at.smsc.ids = [response]
        await sent(at)
        assert at.smsc.submitted[0].registered_delivery == 1
        await at.hear(receipt("7"), 0)
        assert await told(at) == []
        for _ in range(2):
            await at.hear(receipt(came), 0)
            assert at.smsc.responses == {"input": Status.ROK}
        assert await told(at) == ["delivered"]
        assert at.bench.metrics.receipts == {"delivered": 3}

    play(tmp_path, story, **options)


def test_a_long_sms_is_delivered_with_its_last_part(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at, "слово " * 40)
        parts = len(at.smsc.submitted)
        assert parts > 2
        for number in range(parts, 0, -1):
            assert await told(at) == []
            # Some SMSCs leave the addresses as they were.
            await at.hear(receipt(f"{number}", source="111", destination=MSISDN), 0)
        assert await told(at) == ["delivered"]

    play(tmp_path, story)


def test_no_receipt_is_asked_for_where_the_account_says_so(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at, came=Finished())
        assert at.smsc.submitted[0].registered_delivery == 0
        assert (await at.bench.store.load(MSISDN))[0].awaited == {}

    play(tmp_path, story, receipts=False)


@pytest.mark.parametrize("ids", [[""], ["1", ""]])
def test_an_sms_that_the_smsc_gives_no_id_is_not_awaited(tmp_path: Path, ids: list[str]) -> None:
    async def story(at: Line) -> None:
        at.smsc.ids = list(ids)
        await sent(at, "a " * 100 if len(ids) > 1 else "a", came=Finished())
        assert (await at.bench.store.load(MSISDN))[0].awaited == {}

    play(tmp_path, story)


def test_a_receipt_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        await sent(at)

        async def broken(change: Change) -> bool:
            raise StoreUnavailable("the disk is full")

        at.bench.store.commit = broken  # type: ignore[method-assign]
        await at.hear(receipt("1"), 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}
        del at.bench.store.commit
        await at.hear(receipt("1"), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await told(at) == ["delivered"]

    play(tmp_path, story)


def test_a_receipt_that_comes_when_there_are_too_many_is_refused_so_that_the_smsc_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(at: Line) -> None:
        await sent(at)
        for most, status, ends in ((0, Status.RX_T_APPN, []), (1, Status.ROK, ["delivered"])):
            monkeypatch.setattr("ussd_server.channels.receipts.MOST_RECEIPTS", most)
            await at.hear(receipt("1"), 0)
            assert at.smsc.responses == {"input": status}
            assert await told(at) == ends

    play(tmp_path, story)
