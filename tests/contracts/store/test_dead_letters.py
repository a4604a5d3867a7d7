"""What was given up is kept, listed, and taken back once, with its subscriber's record."""

from tests.contracts.store.steps import ANNA, BORIS, LEASE, T0, VERA, Open, entry, on, put
from ussd_server.stores.base import Change, Claimed, DeadLetter, JournalEntry, OutboxEntry, Store
from ussd_server.subscribers.record import Subscriber


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
