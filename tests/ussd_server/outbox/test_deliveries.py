"""Every SMS ends in the journal as delivered, failed or expired, whenever its receipts come, or if they never do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smpp.constants import MessageState
from smpp.receipts import Receipt
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.sms import SendOutcome
from ussd_server.outbox import performers
from ussd_server.outbox.deliveries import Deliveries, timer
from ussd_server.stores.base import MESSAGES, Change, OutboxEntry, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.deliveries import MOST_AWAITED

DELIVERED = Receipt("1", MessageState.DELIVERED)


async def send(at: Bench, *ids: str, text: str = "Hello") -> None:
    """Let the server send an SMS that the SMSC takes under these message ids."""
    at.network.outcome = SendOutcome("sent", account="a", message_ids=ids)
    done = at.metrics.outbox["sms", "done"]
    await enqueue(at, text)
    await at.until(lambda: at.metrics.outbox["sms", "done"] > done)


async def enqueue(at: Bench, text: str = "Hello") -> None:
    record, version = await at.store.load(MSISDN, latest=True)
    entry = OutboxEntry(at.tools.new_id(), "sms", at.now, {"from": "111", "text": text, "account": "a"})
    assert await at.store.commit(Change(version, record, outbox=[entry]))
    at.outbox.wake()


async def ends(at: Bench) -> list[dict[str, Any]]:
    """Return how SMS ended, oldest first, without their ids."""
    entries = reversed(await at.store.journal(MSISDN, "sms ended"))
    return [{name: value for name, value in entry.data.items() if name != "sms"} for entry in entries]


async def lose_timer(at: Bench) -> None:
    """Let the timer of the only SMS that is awaited be given up as damaged."""
    (sms,) = (await at.store.load(MSISDN))[0].awaited
    await at.lose(timer(sms), "delivery")


async def nothing_waits(at: Bench) -> None:
    await at.until(lambda: not at.outbox.under_way)  # what is done is counted before it is removed
    assert await at.store.next_due() is None
    record, _ = await at.store.load(MSISDN)
    assert record.awaited == {}


@pytest.mark.parametrize(
    ("state", "error", "end"),
    [
        (MessageState.DELIVERED, "000", {"outcome": "delivered"}),
        (MessageState.UNDELIVERABLE, "011", {"outcome": "failed", "error": "011"}),
        (MessageState.REJECTED, "", {"outcome": "failed"}),
        (MessageState.EXPIRED, "1", {"outcome": "expired", "error": "1"}),
    ],
)
def test_a_receipt_ends_its_sms(tmp_path: Path, state: MessageState, error: str, end: dict[str, str]) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        sent = at.now
        at.now += 5000
        await at.deliveries.take("a", [MSISDN], Receipt("1", state, error))
        assert await ends(at) == [{**end, "sent": sent}]
        assert at.metrics.receipts == {state.name.lower(): 1}
        assert at.metrics.deliveries == {end["outcome"]: 1}
        await nothing_waits(at)

    play(tmp_path, story)


def test_an_sms_that_was_taken_is_noted_when_the_store_is_back_and_not_sent_again(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        commit, refused = at.store.commit, 3

        async def away(change: Change) -> bool:
            nonlocal refused
            if change.settled and refused:
                refused -= 1
                raise StoreUnavailable("away")
            return await commit(change)

        at.store.commit = away  # type: ignore[method-assign]
        await send(at, "1")
        assert (at.paused, len(at.network.sms)) == ([performers.NOTE_WAIT_S] * 3, 1)
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]
        await nothing_waits(at)

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("error", "waits"), [(StoreUnavailable("the record is damaged"), performers.NOTE_TRIES), (TypeError("a defect"), 0)]
)
def test_an_sms_that_was_taken_and_can_never_be_noted_is_not_sent_again(
    tmp_path: Path, error: Exception, waits: int
) -> None:
    async def story(at: Bench) -> None:
        commit = at.store.commit

        async def never(change: Change) -> bool:
            if change.settled:
                raise error
            return await commit(change)

        at.store.commit = never  # type: ignore[method-assign]
        with capture_logs() as logs:
            await send(at, "1")
        assert [line["event"] for line in logs] == ["sent, but its receipts will find nothing"]
        assert (len(at.paused), len(at.network.sms)) == (waits, 1)
        await nothing_waits(at)

    play(tmp_path, story)


def test_a_long_sms_ends_with_the_receipt_of_its_last_part(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1", "2", "3")
        for message_id in ("2", "2", "3"):
            await at.deliveries.take("a", [MSISDN], Receipt(message_id, MessageState.DELIVERED))
        assert await ends(at) == []
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now, "parts": 3}]
        await nothing_waits(at)

    play(tmp_path, story)


def test_another_server_matches_what_this_one_has_sent(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        store = SqliteStore(tmp_path / "store.db")
        other = Deliveries(store, at.metrics, lambda: at.now, at.tools.new_id, lambda: None)
        await other.take("a", [MSISDN], DELIVERED)
        await store.close()
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]

    play(tmp_path, story)


def test_two_servers_that_get_the_receipt_end_the_sms_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        store = SqliteStore(tmp_path / "store.db")
        other = Deliveries(store, at.metrics, lambda: at.now, at.tools.new_id, lambda: None)
        for number in range(5):
            await send(at, str(number), f"{number}b")
            receipts = [Receipt(id, MessageState.DELIVERED) for id in (str(number), f"{number}b")]
            takers = [taker.take("a", [MSISDN], receipt) for receipt in receipts for taker in (at.deliveries, other)]
            await asyncio.gather(*takers)
            assert len(await ends(at)) == number + 1
        await store.close()
        assert at.metrics.deliveries["delivered"] == 5

    play(tmp_path, story)


def test_a_receipt_that_is_faster_than_the_response_waits_for_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        taken = at.network.outcome = SendOutcome("sent", account="a", message_ids=("1",))
        send_sms = at.network.send_sms

        def slow(*arguments: Any) -> None:
            def answer(_: object) -> None:
                at.outbox.ended([arguments[-1]], at.sms_ended(send_sms(*arguments)))

            asyncio.ensure_future(at.deliveries.take("a", [MSISDN], DELIVERED)).add_done_callback(answer)

        at.network.send_sms = slow  # type: ignore[method-assign]
        await enqueue(at)
        await at.until(lambda: at.metrics.outbox["receipt", "done"] == 1)
        assert at.network.sms
        assert taken.message_ids == ("1",)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]
        await nothing_waits(at)

    play(tmp_path, story)


def test_a_receipt_of_nothing_that_is_awaited_is_counted_and_forgotten(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.deliveries.take("a", [MSISDN], DELIVERED)  # a number that nobody knows
        await at.deliveries.take("a", [], DELIVERED)
        assert (await at.store.load(MSISDN))[1] == 0
        await send(at, "1")
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        for receipt in (DELIVERED, Receipt("7", MessageState.DELIVERED)):
            await at.deliveries.take("a", [MSISDN], receipt)
        await at.until(lambda: at.metrics.outbox["receipt", "done"] == 2)
        assert len(await ends(at)) == 1
        assert at.metrics.deliveries == {"delivered": 1, "unmatched": 4}
        await nothing_waits(at)

    play(tmp_path, story)


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt("1", MessageState.ENROUTE),
        Receipt("1", MessageState.ACCEPTED),
        Receipt("1", None, "011"),
        Receipt("", MessageState.DELIVERED),
    ],
)
def test_what_is_no_end_changes_nothing(tmp_path: Path, receipt: Receipt) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        before = await at.store.load(MSISDN)
        await at.deliveries.take("a", [MSISDN], receipt)
        assert await at.store.load(MSISDN) == before
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]

    play(tmp_path, story)


def test_without_a_receipt_an_sms_has_expired(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        sent = at.now
        at.now += at.tools.sms_validity_ms - 1
        at.outbox.wake()
        await send(at, "2")
        assert await ends(at) == []
        at.now += 1
        at.outbox.wake()
        await at.until(lambda: at.metrics.outbox["delivery", "done"] == 1)
        assert await ends(at) == [{"outcome": "expired", "sent": sent}]
        record, _ = await at.store.load(MSISDN)
        assert [one.parts for one in record.awaited.values()] == [{"2": ""}]

    play(tmp_path, story)


def test_where_no_receipt_was_asked_for_nothing_is_awaited(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at)
        assert await ends(at) == []
        await nothing_waits(at)

    play(tmp_path, story)


def test_more_than_may_be_awaited_end_the_oldest(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        for number in range(MOST_AWAITED + 1):
            await send(at, str(number))
        assert [end["outcome"] for end in await ends(at)] == ["expired"]
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert [end["outcome"] for end in await ends(at)] == ["expired", "delivered"]

    play(tmp_path, story)


def test_a_receipt_ends_an_sms_whose_timer_was_given_up_as_damaged(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        await lose_timer(at)
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]
        await nothing_waits(at)

    play(tmp_path, story)


def test_a_receipt_that_was_kept_ends_an_sms_whose_timer_was_given_up_as_damaged(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        await lose_timer(at)
        record, version = await at.store.load(MSISDN)
        said = {"account": "a", "message_id": "1", "outcome": "delivered", "error": ""}
        assert await at.store.commit(Change(version, record, outbox=[OutboxEntry("early", "receipt", at.now, said)]))
        at.outbox.wake()
        await at.until(lambda: at.metrics.outbox["receipt", "done"] == 1)
        assert await ends(at) == [{"outcome": "delivered", "sent": at.now}]
        await nothing_waits(at)

    play(tmp_path, story)


def test_an_sms_that_is_one_too_many_is_sent_once_where_the_timer_of_the_oldest_was_given_up(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "0")
        await lose_timer(at)
        for number in range(1, MOST_AWAITED + 1):
            await send(at, str(number))
        assert [end["outcome"] for end in await ends(at)] == ["expired"]
        await at.until(lambda: not at.outbox.under_way)
        assert await at.store.next_due([MESSAGES]) is None
        assert len(at.network.sms) == MOST_AWAITED + 1

    play(tmp_path, story)


def test_the_second_of_two_numbers_is_tried(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")
        await at.deliveries.take("a", ["79100000009", MSISDN], DELIVERED)
        assert len(await ends(at)) == 1

    play(tmp_path, story)


def test_a_receipt_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await send(at, "1")

        async def conflict(change: Change) -> bool:
            return False

        at.store.commit = conflict  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await at.deliveries.take("a", [MSISDN], DELIVERED)
        del at.store.commit
        await at.deliveries.take("a", [MSISDN], DELIVERED)
        assert len(await ends(at)) == 1

    play(tmp_path, story)
