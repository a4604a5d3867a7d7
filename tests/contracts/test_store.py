"""What every store does: one commit changes all that belongs together or nothing, and what it acknowledged stays."""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from menus.session import Pending, Place, Session
from tests.contracts.stores import EXAMPLES, STORES
from ussd_server.stores.base import (
    DELIVERIES,
    EVERY_LANE,
    LANES,
    LETTERS,
    MESSAGES,
    OPERATOR,
    PUSHES,
    Change,
    Claimed,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    Nonce,
    OutboxEntry,
    Standing,
    Store,
    StoreUnavailable,
)
from ussd_server.subscribers.deliveries import Awaited
from ussd_server.subscribers.record import Exchange, Pushed, Subscriber
from ussd_server.terminals.record import Terminal, TerminalKey

ANNA, BORIS, VERA = "79100000001", "79100000002", "447700900123"
T0 = 1_790_000_000_000
LEASE = 60_000

Open = Callable[[], Store]


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return partial(STORES[request.param], tmp_path)


@asynccontextmanager
async def closing(*stores: Store) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for store in stores:
            await store.close()


def on(open_store: Open, test: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Run the test on a new store and close it."""

    async def body() -> None:
        store = open_store()
        async with closing(store):
            await test(store)

    asyncio.run(body())


def entry(id: str, kind: Any = "sms", due: int = T0, **data: Any) -> OutboxEntry:
    return OutboxEntry(id, kind, due, data)


async def put(store: Store, msisdn: str, *outbox: OutboxEntry, settled: tuple[str, ...] = ()) -> bool:
    record, version = await store.load(msisdn)
    return await store.commit(Change(version, record, outbox=outbox, settled=settled))


async def add_one(store: Store, msisdn: str) -> None:
    """Count in the record as a turn does: load, change, commit, and all over again on a conflict."""
    while True:
        record, version = await store.load(msisdn)
        if await store.commit(Change(version, msgspec.structs.replace(record, activated_at=record.activated_at + 1))):
            return


def ids(claimed: list[Claimed]) -> list[str]:
    return [each.entry.id for each in claimed]


async def told(store: Store, change: Change, held: bool = False) -> Any:
    """Commit as turns do, and hold what comes of it if so asked; return what is told, once, and not before its time."""
    heard: list[Any] = []
    if held:
        store.commit_and_hold_then(change, T0, T0 + LEASE, heard.append)
    else:
        store.commit_then(change, heard.append)
    assert heard == []
    while not heard:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(heard) == 1
    return heard[0]


# Records ----------------------------------------------------------------------------------------------------------


def test_an_unknown_number_has_a_fresh_record_of_version_0(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.journal(ANNA) == []
        assert await store.next_due() is None
        assert await store.claim(T0, 10, LEASE) == []

    on(open_store, test)


def test_who_is_called_is_told_what_a_commit_returns_or_raises(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await told(store, Change(0, Subscriber(ANNA, "ru"), outbox=[entry("a")])) is True
        record, version = await store.load(ANNA)
        assert record == Subscriber(ANNA, "ru")
        assert await told(store, Change(version, Subscriber(ANNA, "en"))) is True
        assert await told(store, Change(version, Subscriber(ANNA, "de"))) is False
        for unfit in (
            Change((await store.load(ANNA))[1], record, outbox=[entry("a")]),
            Change(0, Subscriber("no number")),
            Change(0, Subscriber(BORIS), journal=[JournalEntry(T0, "unfit", {"no": object()})]),
        ):
            assert isinstance(await told(store, unfit), ValueError | TypeError)
        assert [each.language for each, _ in [await store.load(ANNA), await store.load(BORIS)]] == ["en", ""]
        await store.close()
        assert isinstance(await told(store, Change(0, Subscriber(BORIS))), StoreUnavailable)

    on(open_store, test)


@pytest.mark.parametrize("held", [False, True])
def test_nobody_is_told_before_the_call_returns_also_where_nothing_is_to_be_waited_for(
    open_store: Open, held: bool
) -> None:
    async def test(store: Store) -> None:
        note = [JournalEntry(T0, "noted", {})]
        assert await told(store, Change(0, Subscriber(ANNA), note), held) == ([] if held else True)
        refused = None if held else False
        for version in (0, -1):
            assert await told(store, Change(version, Subscriber(ANNA)), held) == refused
            assert await told(store, Change(version, Subscriber(ANNA), note), held) == refused
        version = (await store.load(ANNA))[1]
        for unfit in (
            Change(0, Subscriber("no number")),
            Change(0, Subscriber("no number"), note),
            Change(version, Subscriber(ANNA), [JournalEntry(T0, "unfit", {"no": object()})]),
            Change(version, Subscriber(ANNA, language=object())),  # type: ignore[arg-type]
        ):
            assert isinstance(await told(store, unfit, held), ValueError | TypeError)
        await store.close()
        for change in (Change(version, Subscriber(ANNA)), Change(version, Subscriber(ANNA), note)):
            assert isinstance(await told(store, change, held), StoreUnavailable)

    on(open_store, test)


def test_what_is_remembered_of_a_record_is_what_was_loaded_or_committed(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert store.remembered(ANNA) is None
        assert await told(store, Change(0, Subscriber(ANNA, "ru")))
        assert store.remembered(ANNA) == await store.load(ANNA) == (Subscriber(ANNA, "ru"), store.remembered(ANNA)[1])  # type: ignore[index]
        async with closing(other := open_store()):
            assert other.remembered(ANNA) is None
            loaded = await other.load(ANNA)
            assert other.remembered(ANNA) == loaded
            assert await told(other, Change(loaded[1], Subscriber(ANNA, "en")))
        assert await told(store, Change(loaded[1], Subscriber(ANNA, "de"))) is False
        assert store.remembered(ANNA) is None

    on(open_store, test)


def test_a_record_comes_back_whole_also_after_a_restart(open_store: Open) -> None:
    session = Session("s1", "r1", "ussd", "tariffs", T0, 2, (Place("home"), Place("list", 1)), {"n": [1, {"ru": "Я"}]})
    record = Subscriber(
        ANNA,
        "ru-Latn",
        T0,
        sessions={"ussd": session},
        exchanges={"ussd": Exchange("d", "l", 1, -1, False, T0, b"*111#", None, True)},
        pending={"o1": Pending("o1", "r1", "done", {"price": 9900})},
        replies=(T0, T0 + 1),
        offers_at=T0,
        push=Pushed("p1", "ask", "smpp://a@b:1", T0 + 1, True, Exchange("d", "l", 1, 2, True, T0, b"1", "Bye", True)),
    )

    async def write(store: Store) -> None:
        assert await store.commit(Change(0, record))
        assert (await store.load(ANNA))[0] == record

    async def read(store: Store) -> None:
        loaded, version = await store.load(ANNA)
        assert loaded == record
        assert version > 0
        assert await store.load(BORIS) == (Subscriber(BORIS), 0)

    on(open_store, write)
    on(open_store, read)


def test_every_commit_makes_a_new_version_and_only_the_newest_can_be_replaced(open_store: Open) -> None:
    async def test(store: Store) -> None:
        record = Subscriber(ANNA)
        seen = []
        for _ in range(3):
            _, version = await store.load(ANNA)
            assert await store.commit(Change(version, record))
            assert not await store.commit(Change(version, Subscriber(ANNA, "xx")))
            seen.append(version)
        assert len(set(seen)) == 3
        assert (await store.load(ANNA))[0] == record

    on(open_store, test)


@pytest.mark.parametrize("msisdn", ["", "abc", "0123", "+79100000001", "1234567890123456", "-79100000001"])
def test_what_is_no_msisdn_is_refused_and_changes_nothing(open_store: Open, msisdn: str) -> None:
    async def test(store: Store) -> None:
        with pytest.raises(ValueError):
            await store.load(msisdn)
        with pytest.raises(ValueError):
            await store.commit(Change(0, Subscriber(msisdn), outbox=[entry("a")]))
        assert await store.next_due() is None
        assert await put(store, ANNA)

    on(open_store, test)


# Atomicity --------------------------------------------------------------------------------------------------------


def test_record_journal_and_outbox_are_written_together_or_not_at_all(open_store: Open) -> None:
    async def test(store: Store) -> None:
        journal = [JournalEntry(T0, "activated", {"by": "sms"}), JournalEntry(T0, "asked", {})]
        assert await store.commit(Change(0, Subscriber(ANNA, "ru"), journal, [entry("a", text="x")]))
        late = Change(0, Subscriber(ANNA, "en"), [JournalEntry(T0, "late", {})], [entry("b")], settled=["a"])
        assert not await store.commit(late)
        assert (await store.load(ANNA))[0].language == "ru"
        assert await store.journal(ANNA) == journal[::-1]
        claimed = await store.claim(T0, 10, LEASE)
        assert claimed == [Claimed(ANNA, entry("a", text="x"), 1, T0 + LEASE)]

    on(open_store, test)


def test_settling_removes_the_entry_and_can_be_done_once(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        before = await store.load(ANNA)
        assert await put(store, ANNA, settled=("a",))
        assert await store.claim(T0, 10, LEASE) == []
        after = await store.load(ANNA)
        assert before[1] != after[1]
        assert not await put(store, ANNA, entry("b"), settled=("a",))
        assert await store.load(ANNA) == after
        assert await store.next_due() is None

    on(open_store, test)


def test_one_cannot_settle_another_subscribers_entry(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        assert not await put(store, BORIS, settled=("a",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a"]

    on(open_store, test)


def test_an_id_that_is_taken_is_the_callers_mistake_and_spoils_no_other_commit(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, BORIS, entry("a"))
        before = await store.load(BORIS)
        outcomes = await asyncio.gather(
            put(store, VERA, entry("c")),
            put(store, BORIS, entry("b"), entry("a")),
            return_exceptions=True,
        )
        assert outcomes[0] is True
        assert isinstance(outcomes[1], ValueError)
        assert await store.load(BORIS) == before
        assert await put(store, BORIS, settled=("a",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["c"]

    on(open_store, test)


# Races ------------------------------------------------------------------------------------------------------------


def test_of_two_servers_that_commit_on_one_version_exactly_one_wins(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for round in range(20):
                (record, version), (_, same) = await one.load(ANNA), await two.load(ANNA)
                if version != same:  # a server may remember an older version until it is refused
                    await two.commit(Change(same, record))
                    assert (await two.load(ANNA))[1] == version
                won = await asyncio.gather(
                    one.commit(Change(version, Subscriber(ANNA, "ru", round), outbox=[entry(f"one-{round}")])),
                    two.commit(Change(version, Subscriber(ANNA, "en", round), outbox=[entry(f"two-{round}")])),
                )
                assert sorted(won) == [False, True]
                winner = two if won[1] else one
                assert (await winner.load(ANNA))[0] == Subscriber(ANNA, "en" if won[1] else "ru", round)

    asyncio.run(body())


def test_two_changes_of_one_number_under_way_at_once_are_judged_one_after_the_other(open_store: Open) -> None:
    async def test(store: Store) -> None:
        others = [store.commit(Change(0, Subscriber(f"7910000{n:04}", "ru"))) for n in range(1000, 1060)]
        both = [store.commit(Change(0, Subscriber(ANNA, language))) for language in ("ru", "en")]
        outcomes = await asyncio.gather(*others[:30], both[0], *others[30:], both[1])
        assert outcomes == [True] * 61 + [False]
        assert (await store.load(ANNA))[0].language == "ru"
        assert (await store.load("79100001059"))[0].language == "ru"

    on(open_store, test)


def test_fifty_increments_at_once_through_two_servers_make_fifty(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            await asyncio.gather(*(add_one(store, ANNA) for store in (one, two) for _ in range(25)))
        again = open_store()
        async with closing(again):
            assert (await again.load(ANNA))[0].activated_at == 50

    asyncio.run(body())


def test_who_stops_waiting_for_a_commit_does_not_disturb_the_others(open_store: Open) -> None:
    async def test(store: Store) -> None:
        tasks = [asyncio.ensure_future(put(store, msisdn)) for msisdn in (ANNA, BORIS)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        assert await tasks[1]
        assert await put(store, VERA)

    on(open_store, test)


def test_the_latest_record_is_what_any_server_has_committed(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            assert await put(one, ANNA)
            for language in ("ru", "en"):
                _, version = await one.load(ANNA)
                assert await one.commit(Change(version, Subscriber(ANNA, language)))
                assert await two.load(ANNA, latest=True) == await one.load(ANNA)
                assert await two.load(ANNA) == await one.load(ANNA)
            assert await one.forget(ANNA)
            assert await two.load(ANNA, latest=True) == (Subscriber(ANNA), 0)
            assert await two.load(ANNA) == (Subscriber(ANNA), 0)

    asyncio.run(body())


# The outbox -------------------------------------------------------------------------------------------------------


def test_entries_of_a_subscriber_are_claimed_in_order_and_one_at_a_time(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a1"), entry("a2", due=T0 - 5))
        assert await put(store, BORIS, entry("b1"))
        assert await put(store, ANNA, entry("a3"))
        assert sorted(ids(await store.claim(T0, 10, LEASE))) == ["a1", "b1"]
        assert await store.claim(T0, 10, LEASE) == []
        assert await put(store, ANNA, settled=("a1",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a2"]
        assert await put(store, ANNA, settled=("a2",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["a3"]

    on(open_store, test)


def test_what_is_held_from_its_commit_on_is_as_claimed(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("before"))
        change = Change((await store.load(ANNA))[1], Subscriber(ANNA, "en"), settled=("before",))
        added = [entry("a"), entry("behind"), entry("order", "command"), entry("parts", "letters", due=T0 + 1)]
        held = await store.commit_and_hold(msgspec.structs.replace(change, outbox=added), T0, T0 + LEASE)
        assert held is not None
        held += await store.claim(T0, 10, LEASE)  # what the store did not hold by itself
        assert sorted(held, key=lambda each: each.entry.id) == [
            Claimed(ANNA, added[0], 1, T0 + LEASE),
            Claimed(ANNA, added[2], 1, T0 + LEASE),
        ]
        assert (await store.load(ANNA))[0].language == "en"
        assert await store.next_due([MESSAGES]) == T0 + LEASE
        await store.renew(held, T0 + 2 * LEASE)
        assert ids(await store.claim(T0 + LEASE, 10, LEASE)) == ["parts"]
        again = await store.claim(T0 + 2 * LEASE, 10, LEASE, [MESSAGES])
        assert [(each.entry.id, each.attempt) for each in again] == [("a", 2)]

    on(open_store, test)


def test_nothing_is_held_behind_what_waits_nor_where_the_change_is_refused(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("later", due=T0 + 5))
        version = (await store.load(ANNA))[1]
        change = Change(version, Subscriber(ANNA), outbox=[entry("a"), entry("order", "command")])
        held = await store.commit_and_hold(change, T0, T0 + LEASE)
        assert held is not None
        assert ids(held + await store.claim(T0, 10, LEASE)) == ["order"]
        assert await store.commit_and_hold(Change(version, Subscriber(ANNA)), T0, T0 + LEASE) is None
        refused = Change(version, Subscriber(ANNA), outbox=[entry("never", "push")])
        assert await store.commit_and_hold(refused, T0, T0 + LEASE) is None
        assert await store.next_due([PUSHES]) is None

    on(open_store, test)


def test_entries_that_are_done_are_removed_and_let_the_next_ones_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a1"), entry("a2"))
        assert await put(store, BORIS, entry("b1"))
        before = await store.load(ANNA)
        claimed = await store.claim(T0, 10, LEASE)
        await store.settle(claimed)
        await store.settle(claimed)
        assert await store.load(ANNA, latest=True) == before
        assert ids(await store.claim(T0, 10, LEASE)) == ["a2"]
        assert await store.journal(ANNA) == []

    on(open_store, test)


def test_messages_and_the_operators_work_do_not_wait_for_each_other(open_store: Open) -> None:
    async def test(store: Store) -> None:
        entries = [entry("order", "command"), entry("query", "query"), entry("code", "code"), entry("sms")]
        assert await put(store, ANNA, *entries)
        assert sorted(ids(await store.claim(T0, 10, LEASE))) == ["code", "order"]
        assert await put(store, ANNA, settled=("code",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["sms"]

    on(open_store, test)


def test_a_push_that_waits_for_the_morning_holds_up_nothing(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("push", "push", due=T0), entry("later", "push"), entry("sms"))
        (push,) = await store.claim(T0, 10, LEASE, [PUSHES])
        await store.postpone(push, T0 + 9, "quiet hours")
        assert ids(await store.claim(T0 + 8, 10, LEASE)) == ["sms"]
        assert await store.next_due([PUSHES]) == T0 + 9
        (push,) = await store.claim(T0 + 9, 10, LEASE, [PUSHES])
        assert (push.entry.id, push.attempt) == ("push", 2)
        assert await put(store, ANNA, settled=("push",))
        assert ids(await store.claim(T0 + 9, 10, LEASE)) == ["later"]

    on(open_store, test)


def test_what_is_only_waited_for_holds_up_nothing_and_a_receipt_waits_for_the_sms_before_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        waiting = [entry("parts", "letters", due=T0 + 9), entry("s0.end", "delivery", due=T0 + 9)]
        assert await put(store, ANNA, *waiting, entry("s1"), entry("early", "receipt"), entry("s2"))
        assert ids(await store.claim(T0, 10, LEASE)) == ["s1"]
        assert await store.claim(T0, 10, LEASE) == []
        # An SMS is sent: its entry goes, and another one for its end comes in the same commit.
        assert await put(store, ANNA, entry("s1.end", "delivery", due=T0 + 10), settled=("s1",))
        assert ids(await store.claim(T0, 10, LEASE)) == ["early"]
        assert await put(store, ANNA, settled=("s1.end", "early"))
        assert ids(await store.claim(T0, 10, LEASE)) == ["s2"]
        assert await store.next_due([LETTERS, DELIVERIES]) == T0 + 9
        assert sorted(ids(await store.claim(T0 + 9, 10, LEASE))) == ["parts", "s0.end"]

    on(open_store, test)


def test_the_end_of_an_sms_is_one_commit_and_only_one_server_makes_it(open_store: Open) -> None:
    async def body() -> None:
        first = open_store()
        second = open_store()
        async with closing(first, second):
            awaited = {"s": Awaited("a", T0, {"id": ""})}
            sent = Change(0, Subscriber(ANNA, awaited=awaited), outbox=[entry("s.end", "delivery")])
            assert await first.commit(sent)
            ends = []
            for store in (first, second):
                record, version = await store.load(ANNA)
                assert record.awaited == awaited
                ended = msgspec.structs.replace(record, awaited={})
                ends.append((store, Change(version, ended, [JournalEntry(T0, "sms ended")], settled=["s.end"])))
            made = await asyncio.gather(*(store.commit(change) for store, change in ends))
            assert sorted(made) == [False, True]
            for store in (first, second):
                assert (await store.load(ANNA, latest=True))[0].awaited == {}
                assert len(await store.journal(ANNA)) == 1
                assert await store.next_due() is None

    asyncio.run(body())


@pytest.mark.parametrize(("lane", "id"), [(MESSAGES, "sms"), (OPERATOR, "order")])
def test_a_claim_may_leave_the_other_lane_alone(open_store: Open, lane: int, id: str) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("order", "command", due=T0 + 1), entry("sms", due=T0 + 2))
        assert await store.next_due([lane]) == T0 + (2 if lane == MESSAGES else 1)
        assert ids(await store.claim(T0 + 2, 10, LEASE, [lane])) == [id]
        assert await store.claim(T0 + 2, 10, LEASE, [lane]) == []
        assert await store.next_due([lane]) == T0 + 2 + LEASE
        assert await store.claim(T0 + 2, 10, LEASE, []) == []
        assert await store.next_due([]) is None
        assert len(await store.claim(T0 + 2, 10, LEASE)) == 1

    on(open_store, test)


def test_an_entry_is_claimed_when_it_is_due_and_not_before(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", due=T0 + 10))
        assert await put(store, BORIS, entry("b", due=T0 + 20))
        assert await store.next_due() == T0 + 10
        assert await store.claim(T0 + 9, 10, LEASE) == []
        assert ids(await store.claim(T0 + 10, 10, LEASE)) == ["a"]
        assert await store.next_due() == T0 + 20

    on(open_store, test)


def test_no_more_are_claimed_than_asked_for(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(5):
            assert await put(store, f"7910000000{number}", entry(f"e{number}"))
        first = await store.claim(T0, 3, LEASE)
        second = await store.claim(T0, 3, LEASE)
        assert (len(first), len(second)) == (3, 2)
        assert sorted(ids(first) + ids(second)) == ["e0", "e1", "e2", "e3", "e4"]
        assert await store.claim(T0 + LEASE, 0, LEASE) == []

    on(open_store, test)


def test_two_servers_never_hold_one_entry_at_the_same_time(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for number in range(40):
                assert await put(one, f"791000000{number:02}", entry(f"e{number}"))
            claimed = await asyncio.gather(*(store.claim(T0, 7, LEASE) for _ in range(4) for store in (one, two)))
            held = [id for each in claimed for id in ids(each)]
            assert len(held) == 40
            assert len(set(held)) == 40

    asyncio.run(body())


def test_a_lease_that_ended_lets_another_claim_and_the_first_holder_can_do_nothing_more(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        (first,) = await store.claim(T0, 1, LEASE)
        assert await store.next_due() == T0 + LEASE
        assert await store.claim(T0 + LEASE - 1, 1, LEASE) == []
        (second,) = await store.claim(T0 + LEASE, 1, LEASE)
        assert (first.attempt, second.attempt) == (1, 2)
        assert second.lease == T0 + 2 * LEASE
        await store.postpone(first, T0, "too late")
        await store.bury(first, T0, "too late")
        assert await store.claim(T0 + LEASE, 1, LEASE) == []
        assert await store.journal(ANNA) == []
        assert await put(store, ANNA, settled=("a",))

    on(open_store, test)


def test_a_renewed_lease_lasts_longer_and_is_the_same_attempt(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="x"))
        assert await put(store, BORIS, entry("b"))
        claimed = await store.claim(T0, 10, LEASE)
        await store.renew(claimed, T0 + 3 * LEASE)
        assert await store.next_due() == T0 + 3 * LEASE
        assert await store.claim(T0 + 2 * LEASE, 10, LEASE) == []
        again = await store.claim(T0 + 3 * LEASE, 10, LEASE)
        assert sorted((each.entry.id, each.attempt) for each in again) == [("a", 2), ("b", 2)]

    on(open_store, test)


def test_only_who_holds_an_entry_can_renew_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("claimed by another"))
        assert await put(store, BORIS, entry("postponed"))
        assert await put(store, VERA, entry("settled"))
        mine = await store.claim(T0, 10, LEASE)
        (postponed,) = (each for each in mine if each.entry.id == "postponed")
        await store.postpone(postponed, T0 + LEASE + 1, "busy")
        assert await put(store, VERA, settled=("settled",))
        (other,) = await store.claim(T0 + LEASE, 10, LEASE)
        assert other.entry.id == "claimed by another"
        await store.renew(mine, T0 + 9 * LEASE)
        assert await store.next_due() == T0 + LEASE + 1
        assert ids(await store.claim(T0 + 2 * LEASE, 10, LEASE)) == ["postponed", "claimed by another"]

    on(open_store, test)


def test_an_entry_postponed_until_now_can_be_claimed_at_once(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.postpone(claimed, T0 + 1, "the server stopped")
        (again,) = await store.claim(T0 + 1, 10, LEASE)
        assert again.attempt == 2

    on(open_store, test)


def test_a_postponed_entry_comes_again_later_and_holds_back_those_after_it(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="x"), entry("b"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        await store.postpone(claimed, T0 + 500, "busy")
        assert await store.next_due() == T0 + 500
        assert await store.claim(T0 + 499, 10, LEASE) == []
        (again,) = await store.claim(T0 + 500, 10, LEASE)
        assert again == Claimed(ANNA, entry("a", due=T0 + 500, text="x"), 2, T0 + 500 + LEASE)

    on(open_store, test)


def test_a_buried_entry_is_in_the_journal_and_lets_the_next_one_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a", text="secret"), entry("b"))
        (claimed,) = await store.claim(T0, 10, LEASE)
        ended = JournalEntry(T0 + 1, "sms ended", {"outcome": "expired", "sms": "a"})
        await store.bury(claimed, T0 + 1, "expired", [ended])
        await store.bury(claimed, T0 + 2, "twice", [ended])
        buried = JournalEntry(T0 + 1, "given_up", {"id": "a", "kind": "sms", "reason": "expired"})
        assert await store.journal(ANNA) == [ended, buried]
        assert ids(await store.claim(T0, 10, LEASE)) == ["b"]
        assert not await put(store, ANNA, settled=("a",))

    on(open_store, test)


# Dead letters -----------------------------------------------------------------------------------------------------


async def given_up(store: Store, msisdn: str, entry: OutboxEntry, now: int = T0) -> Claimed:
    """Let an entry be claimed and given up."""
    assert await put(store, msisdn, entry)
    claimed = next(each for each in await store.claim(now, 100, LEASE) if each.entry.id == entry.id)
    await store.bury(claimed, now, "refused")
    return claimed


def test_what_was_given_up_can_be_listed_also_after_a_restart(open_store: Open) -> None:
    lost = OutboxEntry("a1", "sms", T0, {"text": "x", "n": [1, None]}, T0 + 9)

    async def write(store: Store) -> None:
        assert (await store.dead_letters(ANNA), await store.given_up("", 10)) == ([], [])
        assert await store.count_dead_letters() == {}
        await given_up(store, ANNA, lost)
        await given_up(store, ANNA, entry("a2", "command"), T0 + LEASE)
        await given_up(store, BORIS, entry("b1"))

    async def read(store: Store) -> None:
        assert await store.dead_letters(ANNA) == [
            DeadLetter(ANNA, "a1", "sms", {"text": "x", "n": [1, None]}, T0 + 9, T0, 1, "refused"),
            DeadLetter(ANNA, "a2", "command", {}, 0, T0 + LEASE, 1, "refused"),
        ]
        assert [each.id for each in await store.dead_letters(BORIS)] == ["b1"]
        assert await store.dead_letters(VERA) == []
        assert await store.count_dead_letters() == {"sms": 2, "command": 1}

    on(open_store, write)
    on(open_store, read)


def test_a_walk_over_dead_letters_meets_each_number_once(open_store: Open) -> None:
    async def test(store: Store) -> None:
        numbers = [f"7910000{n:04}" for n in range(1000, 1020)] + [VERA]
        for msisdn in numbers:
            await given_up(store, msisdn, entry(f"{msisdn}-1"))
            await given_up(store, msisdn, entry(f"{msisdn}-2"))
        await put(store, ANNA)
        met: list[str] = []
        while some := await store.given_up(met[-1] if met else "", 4):
            assert len(some) <= 4
            met += some
        assert sorted(met) == sorted(numbers)

    on(open_store, test)


def test_what_was_given_up_is_taken_back_with_its_record_or_not_at_all(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await given_up(store, ANNA, entry("a", text="x"))
        _, version = await store.load(ANNA)
        again, note = OutboxEntry("a", "sms", T0, {"text": "x"}, T0 + 9, tried=1), JournalEntry(T0, "taken back", {})
        old = Change(0, Subscriber(ANNA), [note], [again], exhumed=["a"])
        other = Change(version, Subscriber(ANNA), [note], [again], exhumed=["a", "never was"])
        assert [await store.commit(old), await store.commit(other)] == [False, False]
        assert [each.id for each in await store.dead_letters(ANNA)] == ["a"]
        assert await store.claim(T0, 10, LEASE) == []
        assert await store.commit(Change(version, Subscriber(ANNA, "ru"), [note], [again], exhumed=["a"]))
        assert (await store.dead_letters(ANNA), await store.given_up("", 10)) == ([], [])
        assert await store.count_dead_letters() == {}
        assert (await store.journal(ANNA))[0] == note
        _, version = await store.load(ANNA)
        assert not await store.commit(Change(version, Subscriber(ANNA), exhumed=["a"]))

    on(open_store, test)


def test_one_cannot_take_back_another_subscribers_dead_letter(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await given_up(store, ANNA, entry("a"))
        assert not await store.commit(Change(0, Subscriber(BORIS), exhumed=["a"]))
        assert [each.id for each in await store.dead_letters(ANNA)] == ["a"]

    on(open_store, test)


def test_who_held_an_entry_before_it_was_given_up_can_do_nothing_after_it_was_taken_back(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA, entry("a"))
        (first,) = await store.claim(T0, 1, LEASE)
        (second,) = await store.claim(T0 + LEASE, 1, LEASE)
        await store.bury(second, T0 + LEASE, "refused")
        (dead,) = await store.dead_letters(ANNA)
        record, version = await store.load(ANNA)
        again = OutboxEntry("a", "sms", T0 + LEASE, {}, tried=dead.attempt)
        assert await store.commit(Change(version, record, outbox=[again], exhumed=["a"]))
        (third,) = await store.claim(T0 + LEASE, 1, LEASE)
        assert (third.entry, third.attempt, third.tries) == (again, 3, 1)
        for before in (first, second):
            await store.postpone(before, T0, "too late")
            await store.bury(before, T0, "too late")
            await store.renew([before], T0 + 9 * LEASE)
        assert await store.next_due() == T0 + 2 * LEASE
        await store.bury(third, T0 + LEASE, "again")
        (dead,) = await store.dead_letters(ANNA)
        assert (dead.attempt, dead.reason) == (3, "again")

    on(open_store, test)


# As a whole -------------------------------------------------------------------------------------------------------


async def furnish(store: Store, msisdn: str, name: str) -> None:
    """Let there be something of every kind of this subscriber: due, postponed, held, given up, answered."""
    outbox = [entry(f"{name}-{kind}", kind, text=name) for kind in ("sms", "command", "push", "letters")]
    notes = [JournalEntry(T0, kind, {"n": kind}) for kind in ("one", "two")]
    record = Subscriber(msisdn, "ru", T0, letters=b"\x00\xff")
    assert await store.commit(Change(0, record, notes, [*outbox, entry(f"{name}-last")], answer=answer_to(name)))
    claimed = {each.entry.kind: each for each in await store.claim(T0, 100, LEASE) if each.msisdn == msisdn}
    await store.postpone(claimed["command"], T0 + 500, "busy")
    await store.bury(claimed["letters"], T0, "hopeless")
    await store.postpone(claimed["sms"], T0 + 1, "busy")


def test_all_there_is_of_a_subscriber_is_one_value(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await store.dump(ANNA) is None
        await furnish(store, ANNA, "a")
        whole = await store.dump(ANNA)
        buried = JournalEntry(T0, "given_up", {"id": "a-letters", "kind": "letters", "reason": "hopeless"})
        journal = [JournalEntry(T0, "one", {"n": "one"}), JournalEntry(T0, "two", {"n": "two"}), buried]
        assert whole == Everything(
            Subscriber(ANNA, "ru", T0, letters=b"\x00\xff"),
            journal,
            [
                Standing(entry("a-sms", due=T0 + 1, text="a"), T0 + 1, 1, "busy"),
                Standing(entry("a-command", "command", due=T0 + 500, text="a"), T0 + 500, 1, "busy"),
                Standing(entry("a-push", "push", text="a"), T0 + LEASE, 1),
                Standing(entry("a-last"), T0, 0),
            ],
            [DeadLetter(ANNA, "a-letters", "letters", {"text": "a"}, 0, T0, 1, "hopeless")],
            [answer_to("a")],
        )

    on(open_store, test)


@pytest.mark.parametrize("name", STORES)
def test_what_one_store_has_another_can_have_and_works_on_the_same(name: str, open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    async def body() -> None:
        store, other = open_store(), STORES[name](tmp_path / "other")
        async with closing(store, other):
            await furnish(store, ANNA, "a")
            whole = await store.dump(ANNA)
            assert whole
            await other.restore(whole)
            assert await other.dump(ANNA) == whole
            assert (await other.load(ANNA))[0] == whole.record
            assert await other.journal(ANNA) == await store.journal(ANNA)
            assert await other.dead_letters(ANNA) == await store.dead_letters(ANNA)
            assert await other.answer("kiosk-1", "a") == answer_to("a")
            for now in (T0, T0 + 1, T0 + 500, T0 + LEASE):
                assert await other.next_due() == await store.next_due()
                assert await other.claim(now, 10, LEASE) == await store.claim(now, 10, LEASE)
            assert await put(other, ANNA, settled=("a-sms",))
            assert ids(await other.claim(T0 + LEASE, 10, LEASE)) == ["a-last"]

    asyncio.run(body())


def test_what_is_restored_takes_the_place_of_what_was_there(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await furnish(store, ANNA, "a")
        await furnish(store, BORIS, "b")
        boris, (before, old) = await store.dump(BORIS), await store.load(ANNA)
        less = Everything(Subscriber(ANNA, "en"), outbox=[Standing(entry("new"), T0, 0)])
        for _ in range(2):
            await store.restore(less)
            assert await store.dump(ANNA) == less
            assert not await store.commit(Change(old, before))
            assert await store.dump(BORIS) == boris
        assert (await store.load(ANNA))[0] == less.record
        assert await store.answer("kiosk-1", "a") is None
        assert await store.count_dead_letters() == {"letters": 1}
        assert await store.given_up("", 10) == [BORIS]
        assert await store.count_subscribers() == 2
        assert sorted(await store.subscribers("", 10)) == sorted([ANNA, BORIS])
        assert await put(store, ANNA, settled=("new",))

    on(open_store, test)


def test_a_request_that_is_anothers_is_the_callers_mistake_and_spoils_nothing(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await furnish(store, ANNA, "a")
        await furnish(store, BORIS, "b")
        before = await store.dump(ANNA), await store.dump(BORIS)
        with pytest.raises(ValueError):
            await store.restore(Everything(Subscriber(ANNA), answers=[answer_to("b")]))
        assert (await store.dump(ANNA), await store.dump(BORIS)) == before

    on(open_store, test)


ms = st.integers(0, 2**52)
texts = st.text(max_size=8)
values = st.dictionaries(
    texts,
    st.recursive(st.none() | st.booleans() | ms | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=4),
    max_size=3,
)
kinds = st.sampled_from(sorted(LANES))
outbox_ids = st.from_regex(r"[a-z0-9.-]{1,12}", fullmatch=True)
entries = st.builds(OutboxEntry, id=outbox_ids, kind=kinds, due=ms, data=values, expires=ms, tried=st.integers(0, 9))
standing = st.builds(Standing, entry=entries, ready=ms, attempt=st.integers(0, 99), reason=texts)
letters = st.builds(
    DeadLetter,
    msisdn=st.just(ANNA),
    id=outbox_ids,
    kind=kinds,
    data=values,
    expires=ms,
    at=ms,
    attempt=st.integers(0, 99),
    reason=texts,
)
answers = st.builds(
    KeptAnswer,
    terminal=outbox_ids,
    key=outbox_ids,
    fingerprint=st.binary(max_size=4),
    body=st.binary(max_size=9),
    expires=ms,
)
wholes = st.builds(
    Everything,
    record=st.builds(Subscriber, msisdn=st.just(ANNA), language=texts, activated_at=ms, letters=st.binary(max_size=9)),
    journal=st.lists(st.builds(JournalEntry, at=ms, kind=texts, data=values), max_size=4),
    outbox=st.lists(standing, max_size=5, unique_by=lambda one: one.entry.id),
    dead_letters=st.lists(letters, max_size=3, unique_by=lambda one: one.id),
    answers=st.lists(answers, max_size=3, unique_by=lambda one: (one.terminal, one.key)).map(
        lambda some: sorted(some, key=lambda one: (one.terminal, one.key))
    ),
)


@pytest.mark.parametrize("name", STORES)
def test_whatever_there_is_of_a_subscriber_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    store = STORES[name](tmp_path)

    @settings(max_examples=60, deadline=None, database=None)
    @given(whole=wholes)
    def comes_back(whole: Everything) -> None:
        runner.run(store.restore(whole))
        assert runner.run(store.dump(ANNA)) == whole
        assert runner.run(store.dump(ANNA)) == whole

    with asyncio.Runner() as runner:
        comes_back()
        runner.run(store.close())


def test_nonces_are_listed_piece_by_piece(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await store.nonces(None, 10) == []
        used = [Nonce(f"kiosk-{n % 3}", f"nonce-{n}", T0 + n) for n in range(20)]
        for each in used:
            assert await store.use_nonce(each.terminal, each.nonce, each.until)
        met: list[Nonce] = []
        while some := await store.nonces(met[-1] if met else None, 3):
            assert len(some) <= 3
            met += some
        assert sorted(met, key=lambda each: each.until) == used

    on(open_store, test)


def test_a_mark_stays_until_it_is_taken_off(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.mark() == ""
        await store.set_mark("being copied into")
        await store.set_mark("being copied into, from Ж")
        assert await store.mark() == "being copied into, from Ж"

    async def read(store: Store) -> None:
        assert await store.mark() == "being copied into, from Ж"
        await store.set_mark("")
        assert await store.mark() == ""

    on(open_store, write)
    on(open_store, read)


def test_what_is_noted_of_keys_stays_and_is_replaced_by_who_knows_it(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.noted_keys() == ""
        assert not await store.note_keys("others", "ours")
        assert await store.note_keys("", "theirs, with a Ж")
        await store.set_mark("another thing")

    async def read(store: Store) -> None:
        assert await store.noted_keys() == "theirs, with a Ж"
        assert not await store.note_keys("", "ours")
        assert await store.note_keys("theirs, with a Ж", "ours")
        assert (await store.noted_keys(), await store.mark()) == ("ours", "another thing")

    on(open_store, write)
    on(open_store, read)


def test_of_servers_that_note_their_keys_at_once_one_is_the_first(open_store: Open) -> None:
    async def body() -> None:
        stores = [open_store() for _ in range(3)]
        async with closing(*stores):
            noted = await asyncio.gather(*(store.note_keys("", str(n)) for n, store in enumerate(stores)))
            assert sorted(noted) == [False, False, True]
            assert {await store.noted_keys() for store in stores} == {str(noted.index(True))}

    asyncio.run(body())


# The journal, and forgetting --------------------------------------------------------------------------------------


def test_the_journal_is_newest_first_by_kind_and_limited(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for number in range(5):
            record, version = await store.load(ANNA)
            notes = [JournalEntry(T0 + number, kind, {"n": number}) for kind in ("odd", "even")]
            assert await store.commit(Change(version, record, notes))
        newest = await store.journal(ANNA, limit=3)
        assert [(each.kind, each.data["n"]) for each in newest] == [("even", 4), ("odd", 4), ("even", 3)]
        assert [each.data["n"] for each in await store.journal(ANNA, "odd")] == [4, 3, 2, 1, 0]
        assert await store.journal(BORIS) == []
        assert await store.journal(ANNA, "none") == []

    on(open_store, test)


def test_forgetting_leaves_nothing_and_no_old_version_can_be_committed_to_the_next_life(open_store: Open) -> None:
    async def test(store: Store) -> None:
        notes = [JournalEntry(T0, "x", {})]
        assert await store.commit(Change(0, Subscriber(ANNA, "ru"), notes, [entry("a"), entry("b")]))
        assert await put(store, BORIS, entry("c"))
        _, old = await store.load(ANNA)
        held = {each.entry.id: each for each in await store.claim(T0, 10, LEASE)}
        await store.bury(held["a"], T0, "x")
        assert await store.forget(ANNA)
        assert not await store.forget(ANNA)
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)
        assert await store.journal(ANNA) == []
        assert not await store.commit(Change(old, Subscriber(ANNA, "xx")))
        assert await store.commit(Change(0, Subscriber(ANNA, "en")))
        assert not await store.commit(Change(old, Subscriber(ANNA, "xx")))
        assert (await store.load(ANNA))[0].language == "en"
        assert ids(await store.claim(T0 + LEASE, 10, LEASE)) == ["c"]

    on(open_store, test)


def test_a_number_forgotten_right_after_a_commit_is_gone(open_store: Open) -> None:
    async def test(store: Store) -> None:
        outcomes = await asyncio.gather(store.commit(Change(0, Subscriber(ANNA, "ru"))), store.forget(ANNA))
        assert outcomes == [True, True]
        assert await store.load(ANNA) == (Subscriber(ANNA), 0)

    on(open_store, test)


# Answers ----------------------------------------------------------------------------------------------------------


def answer_to(key: str, body: bytes = b"body", terminal: str = "kiosk-1", expires: int = T0) -> KeptAnswer:
    return KeptAnswer(terminal, key, b"fingerprint", body, expires)


async def put_answer(store: Store, msisdn: str, answer: KeptAnswer, language: str = "", *outbox: OutboxEntry) -> bool:
    _, version = await store.load(msisdn)
    return await store.commit(Change(version, Subscriber(msisdn, language), outbox=outbox, answer=answer))


def test_an_answer_is_kept_with_what_it_answers_also_after_a_restart(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.answer("kiosk-1", "k") is None
        assert await put_answer(store, ANNA, answer_to("k"), "ru", entry("a"))
        assert await put_answer(store, BORIS, answer_to("k", b"\x00\xff", "kiosk-2"))
        assert await store.answer("kiosk-1", "k") == answer_to("k")

    async def read(store: Store) -> None:
        assert await store.answer("kiosk-1", "k") == answer_to("k")
        assert await store.answer("kiosk-2", "k") == answer_to("k", b"\x00\xff", "kiosk-2")
        assert await store.answer("kiosk-1", "K") is None
        assert (await store.load(ANNA))[0].language == "ru"

    on(open_store, write)
    on(open_store, read)


@pytest.mark.parametrize("msisdn", [ANNA, BORIS])
def test_a_request_that_has_an_answer_changes_nothing_a_second_time(open_store: Open, msisdn: str) -> None:
    async def test(store: Store) -> None:
        assert await put_answer(store, ANNA, answer_to("k", b"first"), "ru", entry("a"))
        before = await store.load(msisdn)
        assert not await put_answer(store, msisdn, answer_to("k", b"second"), "en", entry("b"))
        assert await store.load(msisdn) == before
        assert await store.answer("kiosk-1", "k") == answer_to("k", b"first")
        assert ids(await store.claim(T0, 10, LEASE)) == ["a"]

    on(open_store, test)


def test_an_answer_is_not_kept_where_the_change_is_refused(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put(store, ANNA)
        assert not await store.commit(Change(0, Subscriber(ANNA), answer=answer_to("old version")))
        assert await store.answer("kiosk-1", "old version") is None
        _, version = await store.load(ANNA)
        gone = Change(version, Subscriber(ANNA), settled=["gone"], answer=answer_to("gone"))
        assert not await store.commit(gone)
        assert await store.answer("kiosk-1", "gone") is None

    on(open_store, test)


def test_of_many_that_answer_one_request_at_once_one_does_it(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        numbers = [f"7910000{n:04}" for n in range(1000, 1040)]
        async with closing(one, two):
            done = await asyncio.gather(
                *(
                    put_answer((one, two)[n % 2], msisdn, answer_to("k", msisdn.encode()))
                    for n, msisdn in enumerate(numbers)
                )
            )
            assert sum(done) == 1
            winner = numbers[done.index(True)]
            for store in (one, two):
                assert await store.answer("kiosk-1", "k") == answer_to("k", winner.encode())
                assert await store.subscribers("", 100) == [winner]

    asyncio.run(body())


def test_forgetting_a_number_forgets_the_answers_it_was_given(open_store: Open) -> None:
    async def test(store: Store) -> None:
        assert await put_answer(store, ANNA, answer_to("a"))
        assert await put_answer(store, ANNA, answer_to("b"))
        assert await put_answer(store, BORIS, answer_to("c"))
        assert await store.forget(ANNA)
        assert [await store.answer("kiosk-1", key) for key in "abc"] == [None, None, answer_to("c")]

    on(open_store, test)


# Terminals --------------------------------------------------------------------------------------------------------


def test_a_terminal_comes_back_whole_and_only_the_newest_version_can_be_replaced(open_store: Open) -> None:
    key = TerminalKey("k1", bytes(range(32)), T0)
    added = Terminal("kiosk-1", "Киоск", (key,), T0, orders=(T0,))
    shut = msgspec.structs.replace(added, standing="quarantined", since=T0 + 1, reason="20 wrong", wrong=(T0, T0 + 1))

    async def write(store: Store) -> None:
        assert await store.load_terminal("kiosk-1") == (None, 0)
        assert await store.terminals() == []
        assert await store.commit_terminal(added, 0)
        assert not await store.commit_terminal(shut, 0)
        loaded, version = await store.load_terminal("kiosk-1")
        assert loaded == added
        assert await store.commit_terminal(shut, version)
        assert not await store.commit_terminal(added, version)
        assert await store.commit_terminal(Terminal("gateway", "all of a network"), 0)

    async def read(store: Store) -> None:
        assert (await store.load_terminal("kiosk-1"))[0] == shut
        assert await store.terminals() == [Terminal("gateway", "all of a network"), shut]

    on(open_store, write)
    on(open_store, read)


def test_a_terminal_is_as_another_server_wrote_it_last(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for round in range(3):
                _, version = await one.load_terminal("kiosk-1")
                changed = Terminal("kiosk-1", f"round {round}")
                won = await asyncio.gather(*(store.commit_terminal(changed, version) for store in (one, two)))
                assert sorted(won) == [False, True]
                assert await one.load_terminal("kiosk-1") == await two.load_terminal("kiosk-1")
                assert (await one.load_terminal("kiosk-1"))[0] == changed

    asyncio.run(body())


# Nonces -----------------------------------------------------------------------------------------------------------


def test_a_nonce_is_used_once_by_each_terminal_also_after_a_restart(open_store: Open) -> None:
    async def write(store: Store) -> None:
        assert await store.use_nonce("kiosk-1", "n", T0)
        assert await store.use_nonce("kiosk-2", "n", T0)
        assert await store.use_nonce("kiosk-1", "N", T0)
        assert not await store.use_nonce("kiosk-1", "n", T0 + 1)

    async def read(store: Store) -> None:
        assert not await store.use_nonce("kiosk-1", "n", T0)
        assert await store.use_nonce("kiosk-1", "m", T0)

    on(open_store, write)
    on(open_store, read)


def test_of_many_uses_of_a_nonce_at_once_one_is_the_first(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            for nonce in ("a", "b", "c"):
                uses = [store.use_nonce("kiosk-1", nonce, T0) for _ in range(50) for store in (one, two)]
                assert sum(await asyncio.gather(*uses)) == 1

    asyncio.run(body())


def test_a_nonce_that_cannot_be_stored_is_its_callers_mistake_alone(open_store: Open) -> None:
    async def test(store: Store) -> None:
        good, bad, other = await asyncio.gather(
            store.use_nonce("kiosk-1", "a", T0),
            store.use_nonce("kiosk-1", "\ud800", T0),
            put(store, ANNA),
            return_exceptions=True,
        )
        assert (good, other) == (True, True)
        assert isinstance(bad, ValueError)
        assert not await store.use_nonce("kiosk-1", "a", T0)

    on(open_store, test)


# Sweeping, and walking --------------------------------------------------------------------------------------------


def test_what_is_over_is_swept_and_nothing_else(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for n in range(5):
            assert await store.use_nonce("kiosk-1", f"n{n}", T0 + n)
            assert await put_answer(store, ANNA, answer_to(f"k{n}", expires=T0 + n))
        assert await store.sweep(T0 - 1, 100) == 0
        assert await store.sweep(T0 + 2, 100) == 6
        assert await store.sweep(T0 + 2, 100) == 0
        kept = [await store.answer("kiosk-1", f"k{n}") for n in range(5)]
        assert kept == [None] * 3 + [answer_to(f"k{n}", expires=T0 + n) for n in (3, 4)]
        assert [await store.use_nonce("kiosk-1", f"n{n}", T0) for n in range(5)] == [True] * 3 + [False] * 2
        assert (await store.load(ANNA))[1] > 0

    on(open_store, test)


def test_a_sweep_deletes_no_more_than_it_is_asked_to(open_store: Open) -> None:
    async def test(store: Store) -> None:
        await asyncio.gather(*(store.use_nonce("kiosk-1", f"n{n}", T0) for n in range(300)))
        for n in range(5):
            assert await put_answer(store, ANNA, answer_to(f"k{n}"))
        swept = [await store.sweep(T0, limit) for limit in (0, 1, 100, 200, 200)]
        assert swept == [0, 1, 100, 200, 4]

    on(open_store, test)


def test_two_servers_may_sweep_at_once_while_others_write(open_store: Open) -> None:
    async def body() -> None:
        one, two = open_store(), open_store()
        async with closing(one, two):
            await asyncio.gather(*(one.use_nonce("kiosk-1", f"old {n}", T0) for n in range(500)))
            swept_one, swept_two, *others = await asyncio.gather(
                one.sweep(T0, 1000), two.sweep(T0, 1000),
                *(two.use_nonce("kiosk-1", f"new {n}", T0 + 1) for n in range(100)),
                *(put(one, f"7910000{n:04}") for n in range(1000, 1100)),
            )  # fmt: skip
            assert swept_one + swept_two == 500
            assert all(others)
            assert await one.sweep(T0 + 1, 1000) == 100

    asyncio.run(body())


def test_a_walk_meets_every_number_once_while_others_come_and_go(open_store: Open) -> None:
    async def test(store: Store) -> None:
        there = [f"7910000{n:04}" for n in range(1000, 1020)] + [VERA, "79100001"]
        await asyncio.gather(*(put(store, msisdn) for msisdn in there))
        met: list[str] = []
        after = ""
        while some := await store.subscribers(after, 3):
            assert len(some) <= 3
            met += some
            after = some[-1]
            await put(store, f"7910000{2000 + len(met)}")
            await put(store, f"7910000{1000 - len(met)}")
            await put(store, there[0])
            if len(met) < 40:
                await store.forget(f"7910000{2000 + len(met)}")
        assert len(met) == len(set(met))
        assert set(there) <= set(met)
        assert await store.subscribers("", 0) == []

    on(open_store, test)


# Life and death ---------------------------------------------------------------------------------------------------


def test_a_closed_store_refuses_and_says_so(open_store: Open) -> None:
    async def body() -> None:
        store = open_store()
        await store.ping()
        under_way = asyncio.ensure_future(put(store, ANNA))
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        assert await under_way
        for refused in (store.load(ANNA), store.commit(Change(0, Subscriber(ANNA))), store.ping(), store.next_due()):
            with pytest.raises(StoreUnavailable, match="closed"):
                await refused

    asyncio.run(body())


def another_server(name: str, place: Path, work: str, *times: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.contracts.stores", name, str(place), work, *times]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def numbers_said(*children: "subprocess.Popen[str]") -> list[int]:
    """Return what these servers said when they are done, in order."""
    said = sorted(int(number) for child in children for number in child.communicate()[0].split())
    assert {child.returncode for child in children} == {0}
    return said


def acknowledged_before_a_kill(name: str, place: Path, work: str) -> int:
    """Kill a server in the midst of its work; return how many numbers it had said."""
    with another_server(name, place, work) as child:
        assert child.stdout is not None
        for _ in range(100):
            child.stdout.readline()
        child.kill()
        return 100 + len(child.stdout.readlines())


@pytest.mark.parametrize("work", ["count", "register"])
@pytest.mark.parametrize("name", STORES)
def test_servers_in_several_processes_lose_no_count(name: str, work: str, tmp_path: Path) -> None:
    with another_server(name, tmp_path, work, "100") as one, another_server(name, tmp_path, work, "100") as two:
        assert numbers_said(one, two) == list(range(1, 201))


@pytest.mark.parametrize("name", STORES)
def test_who_else_has_it_open_is_told(name: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        assert await store.in_use() == ""
        with another_server(name, tmp_path, "count") as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert await store.in_use() != ""
            other.kill()
        async with asyncio.timeout(10):
            while await store.in_use():
                await asyncio.sleep(0.01)  # it may take a moment until a link is known to be gone

    on(partial(STORES[name], tmp_path), test)


@pytest.mark.parametrize("name", STORES)
def test_of_several_processes_each_nonce_is_had_by_one(name: str, tmp_path: Path) -> None:
    with ExitStack() as children:
        servers = [children.enter_context(another_server(name, tmp_path, "replay", "1000")) for _ in range(4)]
        assert numbers_said(*servers) == list(range(1000))


@pytest.mark.parametrize("name", STORES)
def test_what_was_acknowledged_before_a_kill_is_found(name: str, tmp_path: Path) -> None:
    acknowledged = acknowledged_before_a_kill(name, tmp_path, "count")

    async def test(store: Store) -> None:
        # One more may have been written without a chance to say so.
        count = (await store.load(ANNA))[0].activated_at
        assert count in (acknowledged, acknowledged + 1)
        assert [each.at for each in await store.journal(ANNA, limit=count + 1)] == list(range(count, 0, -1))
        assert ids(await store.claim(T0, 10, LEASE)) == ["entry-1"]

    on(partial(STORES[name], tmp_path), test)


@pytest.mark.parametrize("name", STORES)
def test_no_terminal_nonce_or_answer_that_was_acknowledged_is_lost_by_a_kill(name: str, tmp_path: Path) -> None:
    acknowledged = acknowledged_before_a_kill(name, tmp_path, "serve")

    async def test(store: Store) -> None:
        assert len(await store.terminals()) in (acknowledged, acknowledged + 1)
        for number in range(1, acknowledged + 1):
            terminal, version = await store.load_terminal(f"kiosk-1-{number}")
            assert (terminal, version > 0) == (Terminal(f"kiosk-1-{number}", f"number {number}"), True)
            answer = await store.answer(f"kiosk-1-{number}", "key")
            assert answer == KeptAnswer(f"kiosk-1-{number}", "key", b"fingerprint", str(number).encode(), number)
        replayed = await asyncio.gather(
            *(store.use_nonce(f"kiosk-1-{number}", "nonce", T0) for number in range(1, acknowledged + 1))
        )
        assert not any(replayed)

    on(partial(STORES[name], tmp_path), test)


# Against a model --------------------------------------------------------------------------------------------------


class Kept(msgspec.Struct):
    """An outbox entry as the model keeps it; the model's list is in the order of commits."""

    msisdn: str
    entry: OutboxEntry
    ready: int
    attempt: int = 0
    reason: str = ""


class StoreMachine(RuleBasedStateMachine):
    """A store beside a model of dicts and lists; whatever is done to both, they stay alike, also over restarts."""

    open_store: Callable[[Path], Store]
    held = Bundle("held")

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.open_store(Path(self.folder.name))
        self.now = T0
        self.made = 0
        self.records: dict[str, Subscriber] = {}
        self.outdated: list[tuple[str, int]] = []
        self.journal: dict[str, list[JournalEntry]] = {}
        self.outbox: list[Kept] = []
        self.dead: list[DeadLetter] = []
        self.answers: dict[str, tuple[str, KeptAnswer]] = {}
        self.nonces: dict[tuple[str, str], int] = {}
        self.terminals: dict[str, Terminal] = {}

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def heads(self) -> list[Kept]:
        oldest: dict[tuple[str, int], Kept] = {}
        for kept in self.outbox:
            oldest.setdefault((kept.msisdn, LANES[kept.entry.kind]), kept)
        return list(oldest.values())

    def find(self, claimed: Claimed) -> Kept | None:
        alike = (each for each in self.outbox if each.entry.id == claimed.entry.id)
        return next((each for each in alike if each.attempt == claimed.attempt), None)

    @rule(ms=st.sampled_from([1, 500, LEASE]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(
        target=held,
        how=st.sampled_from(["commit", "hold", "then"]),
        msisdn=st.sampled_from([ANNA, BORIS, VERA]),
        kinds=st.lists(st.sampled_from(sorted(LANES)), max_size=3),
        wait=st.sampled_from([0, 0, 500]),
        notes=st.integers(0, 2),
        settle=st.integers(0, 2),
        language=st.text(max_size=8),
        key=st.sampled_from(["", "", "a", "b", "c"]),
    )
    def commit(
        self, how: str, msisdn: str, kinds: list[Any], wait: int, notes: int, settle: int, language: str, key: str
    ) -> Any:
        _, version = self.do(self.store.load(msisdn))
        self.made += 1
        added = [OutboxEntry(f"{self.made}-{n}", kind, self.now + wait, {"n": n}) for n, kind in enumerate(kinds)]
        written = [JournalEntry(self.now, f"note-{n}", {"made": self.made}) for n in range(notes)]
        settled = [kept.entry.id for kept in self.outbox if kept.msisdn == msisdn][:settle]
        record = Subscriber(msisdn, language, self.made)
        answer = answer_to(key, language.encode(), expires=self.now + LEASE) if key else None
        change = Change(version, record, written, added, settled, answer)
        got: list[Claimed] | None
        if how == "hold":
            got = self.do(self.store.commit_and_hold(change, self.now, self.now + LEASE))
        else:
            got = [] if self.do(told(self.store, change) if how == "then" else self.store.commit(change)) else None
        assert (got is not None) == (key not in self.answers)
        if got is None:
            return multiple()
        if answer:
            self.answers[key] = msisdn, answer
        self.outdated.append((msisdn, version))
        self.records[msisdn] = record
        self.journal.setdefault(msisdn, []).extend(written)
        self.outbox = [kept for kept in self.outbox if kept.entry.id not in settled]
        self.outbox += [Kept(msisdn, each, each.due) for each in added]
        return multiple(*map(self.claimed, got))

    def claimed(self, claimed: Claimed) -> Claimed:
        """Note in the model that an entry is held now, and that it might be."""
        kept = next(kept for kept in self.heads() if kept.entry.id == claimed.entry.id)
        assert kept.ready <= self.now
        kept.attempt += 1
        kept.ready = self.now + LEASE
        assert claimed == Claimed(kept.msisdn, kept.entry, kept.attempt, kept.ready)
        return claimed

    @rule(claimed=st.lists(consumes(held), max_size=2))
    def settle(self, claimed: list[Claimed]) -> None:
        self.do(self.store.settle(claimed))
        done = {each.entry.id for each in claimed}
        self.outbox = [kept for kept in self.outbox if kept.entry.id not in done]

    @rule(data=st.data())
    def commit_on_an_old_version(self, data: st.DataObject) -> None:
        if not self.outdated:
            return
        msisdn, version = data.draw(st.sampled_from(self.outdated))
        if version == 0 and msisdn not in self.records:
            return  # forgotten meanwhile: none is what there is
        change = Change(version, Subscriber(msisdn, "old"), [JournalEntry(0, "old", {})], [entry("old")])
        assert not self.do(self.store.commit(change))

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]))
    def commit_that_settles_what_is_gone(self, msisdn: str) -> None:
        record, version = self.do(self.store.load(msisdn))
        there = [kept.entry.id for kept in self.outbox if kept.msisdn == msisdn][:1]
        assert not self.do(self.store.commit(Change(version, record, settled=[*there, "never-was"])))

    @rule(target=held, limit=st.integers(1, 4), lanes=st.sets(st.sampled_from(EVERY_LANE)))
    def claim(self, limit: int, lanes: set[int]) -> Any:
        heads = (kept for kept in self.heads() if LANES[kept.entry.kind] in lanes)
        ready = {kept.entry.id: kept for kept in heads if kept.ready <= self.now}
        claimed: list[Claimed] = self.do(self.store.claim(self.now, limit, LEASE, lanes))
        assert len(claimed) == min(limit, len(ready))
        for each in claimed:
            kept = ready.pop(each.entry.id)
            kept.attempt += 1
            kept.ready = self.now + LEASE
            assert each == Claimed(kept.msisdn, kept.entry, kept.attempt, kept.ready)
        return multiple(*claimed)

    @rule(claimed=st.lists(held, max_size=3))
    def renew(self, claimed: list[Claimed]) -> None:
        self.do(self.store.renew(claimed, self.now + LEASE))
        for kept in filter(None, map(self.find, claimed)):
            if kept.ready != kept.entry.due:  # not postponed meanwhile
                kept.ready = self.now + LEASE

    @rule(claimed=held, wait=st.sampled_from([0, 300]))
    def postpone(self, claimed: Claimed, wait: int) -> None:
        self.do(self.store.postpone(claimed, self.now + wait, "not now"))
        kept = self.find(claimed)
        if kept:
            kept.ready, kept.reason = self.now + wait, "not now"
            kept.entry = msgspec.structs.replace(kept.entry, due=self.now + wait)

    @rule(claimed=consumes(held))
    def bury(self, claimed: Claimed) -> None:
        self.do(self.store.bury(claimed, self.now, "hopeless"))
        kept = self.find(claimed)
        if kept:
            self.outbox.remove(kept)
            lost = kept.entry
            self.dead = [each for each in self.dead if each.id != lost.id]
            self.dead.append(
                DeadLetter(kept.msisdn, lost.id, lost.kind, lost.data, 0, self.now, kept.attempt, "hopeless")
            )
            told = {"id": kept.entry.id, "kind": kept.entry.kind, "reason": "hopeless"}
            self.journal.setdefault(kept.msisdn, []).append(JournalEntry(self.now, "given_up", told))

    @rule(data=st.data(), again=st.booleans())
    def take_back(self, data: st.DataObject, again: bool) -> None:
        if not self.dead:
            return
        dead = data.draw(st.sampled_from(self.dead))
        record, version = self.do(self.store.load(dead.msisdn))
        entry = OutboxEntry(dead.id, dead.kind, self.now, dead.data, tried=dead.attempt)
        assert self.do(self.store.commit(Change(version, record, (), [entry] if again else [], exhumed=[dead.id])))
        self.outdated.append((dead.msisdn, version))
        self.dead.remove(dead)
        if again:
            self.outbox.append(Kept(dead.msisdn, entry, self.now, dead.attempt))

    def whole(self, msisdn: str) -> Everything | None:
        if msisdn not in self.records:
            return None
        answers = sorted((kept[1] for kept in self.answers.values() if kept[0] == msisdn), key=lambda one: one.key)
        return Everything(
            self.records[msisdn],
            self.journal.get(msisdn, []),
            [
                Standing(each.entry, each.ready, each.attempt, each.reason)
                for each in self.outbox
                if each.msisdn == msisdn
            ],
            [each for each in self.dead if each.msisdn == msisdn],
            answers,
        )

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]), first=st.booleans())
    def move_out_and_in(self, msisdn: str, first: bool) -> None:
        _, version = self.do(self.store.load(msisdn))
        whole = self.do(self.store.dump(msisdn))
        assert whole == self.whole(msisdn)
        if whole:
            if first:
                self.do(self.store.forget(msisdn))
            self.do(self.store.restore(whole))
            self.outdated.append((msisdn, version))
            mine = [kept for kept in self.outbox if kept.msisdn == msisdn]
            self.outbox = [kept for kept in self.outbox if kept.msisdn != msisdn] + mine

    @rule(msisdn=st.sampled_from([ANNA, BORIS, VERA]))
    def forget(self, msisdn: str) -> None:
        known = msisdn in self.records
        assert self.do(self.store.forget(msisdn)) == known
        self.records.pop(msisdn, None)
        self.journal.pop(msisdn, None)
        self.outbox = [kept for kept in self.outbox if kept.msisdn != msisdn]
        self.dead = [each for each in self.dead if each.msisdn != msisdn]
        self.answers = {key: kept for key, kept in self.answers.items() if kept[0] != msisdn}

    @rule(terminal=st.sampled_from(["kiosk-1", "kiosk-2"]), nonce=st.sampled_from("xyz"), keep=st.integers(-1, LEASE))
    def use_nonce(self, terminal: str, nonce: str, keep: int) -> None:
        first = (terminal, nonce) not in self.nonces
        assert self.do(self.store.use_nonce(terminal, nonce, self.now + keep)) == first
        self.nonces.setdefault((terminal, nonce), self.now + keep)

    @rule(terminal=st.sampled_from(["kiosk-1", "kiosk-2"]), name=st.text(max_size=3), outdated=st.booleans())
    def commit_terminal(self, terminal: str, name: str, outdated: bool) -> None:
        loaded, version = self.do(self.store.load_terminal(terminal))
        assert loaded == self.terminals.get(terminal)
        if outdated and loaded:
            assert not self.do(self.store.commit_terminal(Terminal(terminal, "outdated"), version - 1))
            return
        assert self.do(self.store.commit_terminal(Terminal(terminal, name), version))
        self.terminals[terminal] = Terminal(terminal, name)

    @rule()
    def sweep(self) -> None:
        nonces = {used: until for used, until in self.nonces.items() if until > self.now}
        answers = {key: kept for key, kept in self.answers.items() if kept[1].expires > self.now}
        over = len(self.nonces) + len(self.answers) - len(nonces) - len(answers)
        assert self.do(self.store.sweep(self.now, 1000)) == over
        self.nonces, self.answers = nonces, answers

    @rule()
    def restart(self) -> None:
        self.do(self.store.close())
        self.store = self.open_store(Path(self.folder.name))

    @invariant()
    def alike(self) -> None:
        for msisdn in (ANNA, BORIS, VERA):
            record, version = self.do(self.store.load(msisdn))
            assert record == self.records.get(msisdn, Subscriber(msisdn))
            assert (version > 0) == (msisdn in self.records)
            assert self.do(self.store.dead_letters(msisdn)) == [each for each in self.dead if each.msisdn == msisdn]
            assert self.do(self.store.journal(msisdn)) == self.journal.get(msisdn, [])[::-1][:100]
        for lanes in ([MESSAGES], [OPERATOR], [PUSHES], EVERY_LANE):
            ready = [kept.ready for kept in self.heads() if LANES[kept.entry.kind] in lanes]
            assert self.do(self.store.next_due(lanes)) == min(ready, default=None)
        for key in "abc":
            kept = self.answers.get(key)
            assert self.do(self.store.answer("kiosk-1", key)) == (kept[1] if kept else None)
        assert sorted(self.do(self.store.subscribers("", 10))) == sorted(self.records)
        assert sorted(self.do(self.store.given_up("", 10))) == sorted({each.msisdn for each in self.dead})
        assert self.do(self.store.count_dead_letters()) == Counter(each.kind for each in self.dead)
        assert self.do(self.store.terminals()) == [self.terminals[id] for id in sorted(self.terminals)]

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.parametrize("name", STORES)
def test_a_store_behaves_as_its_model(name: str) -> None:
    machine = type("Machine", (StoreMachine,), {"open_store": staticmethod(STORES[name])})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=int(60 * EXAMPLES[name]), stateful_step_count=30, deadline=None, database=None),
    )
