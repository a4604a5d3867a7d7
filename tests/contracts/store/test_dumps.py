"""All there is of a subscriber leaves a store as one value, and comes into another as it was."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, Open, answer_to, closing, entry, ids, on, put
from tests.contracts.stores import STORES
from ussd_server.stores.base import (
    LANES,
    Change,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    OutboxEntry,
    Standing,
    Store,
)
from ussd_server.subscribers.record import Subscriber


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


def test_a_list_that_is_whole_stays_as_it_is(open_store: Open) -> None:
    async def test(store: Store) -> None:
        for msisdn in (ANNA, BORIS):
            await furnish(store, msisdn, msisdn)
        listed = await store.subscribers("", 10)
        assert await store.relist() == 0
        assert await store.subscribers("", 10) == listed

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
