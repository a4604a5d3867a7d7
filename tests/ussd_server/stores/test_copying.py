"""What is copied from one store to another is all there is; killed, or changed meanwhile, the copy still ends right."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.contracts.stores import STORES
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import Keyring
from ussd_server.stores.base import (
    Change,
    Everything,
    JournalEntry,
    KeptAnswer,
    Nonce,
    OutboxEntry,
    Standing,
    Store,
    StoreUnavailable,
)
from ussd_server.stores.copying import AT_ONCE, MAX_WALKS, Copier
from ussd_server.stores.moving import CopyError, leave_unfinished, refuse_marked, reopen
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal

T0 = 1_790_000_000_000
LEASE = 60_000
NUMBERS = [str(79100000000 + number) for number in range(12)]
ANNA, BORIS, VERA = NUMBERS[:3]

Body = Callable[[Store, Store], Awaitable[None]]
PAIRS = list(product(STORES, repeat=2))


def between(pair: tuple[str, str], place: Path, body: Body) -> None:
    """Run the body on two stores of these kinds."""

    async def main() -> None:
        stores = []
        for name, folder in zip(pair, ("source", "target"), strict=True):
            (place / folder).mkdir(exist_ok=True)
            stores.append(STORES[name](place / folder))
        try:
            await body(*stores)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(main())


def entry(id: str, kind: Any = "sms", due: int = T0) -> OutboxEntry:
    return OutboxEntry(id, kind, due, {"text": "Ж"}, T0 + LEASE)


async def furnish(store: Store) -> None:
    """Let there be some of everything: due, postponed, held, given up, answered, terminals and their nonces."""
    for number, msisdn in enumerate(NUMBERS):
        outbox = [entry(f"{number}-{kind}", kind) for kind in ("sms", "command", "push")] + [entry(f"{number}-last")]
        answer = KeptAnswer("kiosk-1", f"key-{number}", b"\x00\xff", b"body", T0 + 1 + number)
        notes = [JournalEntry(T0, "asked", {"n": n}) for n in range(number)]
        assert await store.commit(Change(0, Subscriber(msisdn, "ru", T0), notes, outbox, answer=answer))
    for claimed in await store.claim(T0, 1000, LEASE):
        if claimed.entry.kind == "sms" and int(claimed.msisdn) % 2:
            await store.bury(claimed, T0, "refused")
        elif claimed.entry.kind == "command":
            await store.postpone(claimed, T0 + 5, "busy")
    for number in range(3):
        assert await store.commit_terminal(Terminal(f"kiosk-{number}", "in the hall"), 0)
        for until in (T0 - 1, T0 + 1):
            assert await store.use_nonce(f"kiosk-{number}", f"nonce-{until}", until)


async def copy(source: Store, target: Store, **options: bool) -> Any:
    copier = Copier(source, target, "the old store", "the new one", T0)
    return await copier.copy(await copier.begin(**options))


async def differences(source: Store, target: Store) -> list[str]:
    """Return what differs, as it is named, by a walk that writes nothing."""
    walk = await Copier(source, target, "the old store", "the new one", T0).compare()
    assert walk.differing == len(walk.named)
    return walk.named


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_all_there_is_is_copied(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        done = await copy(source, target)
        assert (done.written, done.changed, done.went_on) == (12 + 3 + 3, 0, False)
        assert done.last.source == done.last.target
        assert done.last.source.counts == {
            "subscribers": 12,
            "journal entries": sum(range(12)) + 6,
            "outbox entries": 6 * 4 + 6 * 3,
            "dead letters": 6,
            "kept answers": 12,
            "terminals": 3,
            "nonces": 3,
        }
        for msisdn in NUMBERS:
            assert await target.dump(msisdn) == await source.dump(msisdn)
        assert await target.terminals() == await source.terminals()
        assert [each.until for each in await target.nonces(None, 10)] == [T0 + 1] * 3
        assert not await target.use_nonce("kiosk-1", f"nonce-{T0 + 1}", T0 + 1)
        assert await target.mark() == ""
        assert await differences(source, target) == []

    between(pair, tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_what_waited_in_the_one_is_done_in_the_other_in_the_same_order(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        await reopen(source, "the old store")
        for now in (T0, T0 + 5, T0 + LEASE, T0 + 2 * LEASE):
            assert await target.next_due() == await source.next_due()
            ours, theirs = await source.claim(now, 100, LEASE), await target.claim(now, 100, LEASE)
            assert sorted(theirs, key=str) == sorted(ours, key=str)
            for store, claimed in ((source, ours), (target, theirs)):
                for each in claimed:
                    record, version = await store.load(each.msisdn)
                    assert await store.commit(Change(version, record, settled=[each.entry.id]))
        assert await target.next_due() is None

    between(pair, tmp_path, body)


# What differs is found ------------------------------------------------------------------------------------------------

Plant = Callable[[Everything], Everything]


def _outbox(whole: Everything, **changed: Any) -> Everything:
    first, *rest = whole.outbox
    return replace(whole, outbox=[replace(first, **changed), *rest])


PLANTS: dict[str, Plant] = {
    "record": lambda whole: replace(whole, record=replace(whole.record, language="en")),
    "journal": lambda whole: replace(whole, journal=whole.journal[:-1]),
    "journal, in another order": lambda whole: replace(whole, journal=whole.journal[::-1]),
    "outbox": lambda whole: replace(whole, outbox=whole.outbox[1:]),
    "outbox, in another order": lambda whole: replace(whole, outbox=whole.outbox[::-1]),
    "outbox, other attempts": lambda whole: _outbox(whole, attempt=7),
    "outbox, another reason": lambda whole: _outbox(whole, reason="other"),
    "outbox, another time": lambda whole: _outbox(whole, ready=T0 + 77),
    "outbox, another text": lambda whole: _outbox(whole, entry=replace(whole.outbox[0].entry, data={"text": "F"})),
    "outbox, tried before": lambda whole: _outbox(whole, entry=replace(whole.outbox[0].entry, tried=1)),
    "dead letters": lambda whole: replace(whole, dead_letters=[]),
    "dead letters, another time": lambda whole: replace(
        whole, dead_letters=[replace(each, expires=1) for each in whole.dead_letters]
    ),
    "answers": lambda whole: replace(whole, answers=[]),
    "answers, another body": lambda whole: replace(
        whole, answers=[replace(each, body=b"other") for each in whole.answers]
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_difference_of_one_subscriber_is_found_and_named(plant: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        whole = await target.dump(NUMBERS[7])
        assert whole
        await target.restore(PLANTS[plant](whole))
        assert await differences(source, target) == [f"7910***0007 has another {plant.split(',')[0]}"]
        assert await differences(target, source) == [f"7910***0007 has another {plant.split(',')[0]}"]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_is_missing_or_too_much_is_found(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        await target.forget(NUMBERS[3])
        assert await differences(source, target) == ["7910***0003 is missing"]
        assert await differences(target, source) == ["7910***0003 is not in the old store"]
        assert await target.commit(Change(0, Subscriber("447700900123")))
        assert await differences(source, target) == ["7910***0003 is missing", "4477***0123 is not in the old store"]
        await reopen(source, "the old store")
        await source.forget(NUMBERS[3])
        await target.forget("447700900123")
        assert await differences(source, target) == []
        terminal, version = await target.load_terminal("kiosk-1")
        assert terminal
        assert await target.commit_terminal(replace(terminal, name="outside"), version)
        assert await target.commit_terminal(Terminal("kiosk-9", "new"), 0)
        assert await source.use_nonce("kiosk-1", "another", T0 + 1)
        assert await differences(source, target) == [
            "the terminal kiosk-9 is not in the old store",
            "the terminal kiosk-1 is another",
            "a nonce of the terminal kiosk-1 is missing",
        ]

    between(("sqlite", "sqlite"), tmp_path, body)


# Interrupted, and changed meanwhile -----------------------------------------------------------------------------------


class Wrapped:
    """A store of which some calls do something else first."""

    def __init__(self, store: Store, **before: Callable[..., Awaitable[Any]]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in self._before:
            return found

        async def through(*arguments: Any, **options: Any) -> Any:
            instead = await self._before[name](*arguments)
            return await (found(*arguments, **options) if instead is None else found(*instead))

        return through


class InUse:
    """A store that says these one after the other when it is asked who uses it; None where it does not know."""

    def __init__(self, store: Store, *users: str | None) -> None:
        self._store = store
        self._users = list(users)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def in_use(self) -> str | None:
        return self._users.pop(0)


async def unfenced(mark: str) -> tuple[str]:
    """Let a store only be marked, as if a server of an earlier version were the one that writes it."""
    return (mark,)


def failing(store: Store, name: str, nth: int) -> Any:
    """Return the store, of which the nth call of this name fails, and all after it."""
    calls = iter(range(1, 1_000_000))

    async def fail(*arguments: Any) -> None:
        if next(calls) >= nth:
            raise StoreUnavailable("away")

    return Wrapped(store, **{name: fail})


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize(
    ("name", "nth"), [("restore", 1), ("restore", 5), ("commit_terminal", 2), ("use_nonce", 2), ("dump", 13)]
)
def test_a_copy_that_was_cut_off_goes_on_with_what_has_changed_since(
    pair: tuple[str, str], name: str, nth: int, tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, name, nth))
        with pytest.raises(StoreUnavailable, match="end that first, with: ussd-server store copy"):
            await refuse_marked(target, "the new store")
        if await source.mark():
            with pytest.raises(StoreUnavailable, match="takes no changes: it is moved to the new one"):
                await source.forget(ANNA)
            assert await reopen(source, "the old store") == "the new one"
        # Servers went on with the old one: somebody came, went, changed; work was done; a nonce was used again.
        assert await source.commit(Change(0, Subscriber("447700900123"), outbox=[entry("new")]))
        await source.forget(ANNA)
        record, version = await source.load(BORIS)
        assert await source.commit(Change(version, record, settled=["1-last"]))
        await source.sweep(T0, 1000)
        assert await source.use_nonce("kiosk-1", f"nonce-{T0 - 1}", T0 + 9)
        done = await copy(source, target)
        assert done.went_on
        assert await differences(source, target) == []
        assert sorted(await target.subscribers("", 100)) == sorted([*NUMBERS[1:], "447700900123"])
        await refuse_marked(target, "the new store")
        with pytest.raises(StoreUnavailable, match="it is moved to the new one: start the servers with that; or"):
            await refuse_marked(source, "the old store")

    between(pair, tmp_path, body)


def test_more_than_is_looked_at_at_once_is_copied(tmp_path: Path) -> None:
    numbers = [str(79200000000 + number) for number in range(2 * AT_ONCE + 3)]

    async def body(source: Store, target: Store) -> None:
        await asyncio.gather(*(source.commit(Change(0, Subscriber(msisdn))) for msisdn in numbers))
        done = await copy(source, target)
        assert done.last.target.counts["subscribers"] == len(numbers)
        assert await target.subscribers("", 1000) == numbers

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_changes_during_the_copy_is_copied_again_and_told(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        walks = iter(range(100))

        async def change(*arguments: Any) -> None:
            if next(walks) in (0, 1):  # after everybody was copied, and was compared once
                record, version = await source.load(VERA, latest=True)
                assert await source.commit(Change(version, replace(record, activated_at=record.activated_at + 1)))

        done = await copy(Wrapped(source, terminals=change, set_mark=unfenced), target)  # type: ignore[arg-type]
        assert done.changed == 2
        assert await target.dump(VERA) == await source.dump(VERA)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_changes_all_the_time_is_not_called_copied(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def change(*arguments: Any) -> None:
            record, version = await source.load(VERA, latest=True)
            assert await source.commit(Change(version, replace(record, activated_at=record.activated_at + 1)))

        with pytest.raises(CopyError, match=f"each of {MAX_WALKS} comparisons, servers still run on it: stop them"):
            await copy(Wrapped(source, terminals=change, set_mark=unfenced), target)  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"
        assert (await copy(source, target)).went_on

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_does_not_hold_what_is_written_is_found_out(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def lose(everything: Everything, brought: bool) -> tuple[Everything]:
            return (replace(everything, journal=everything.journal[1:]),)

        with pytest.raises(CopyError, match=r"does not hold what was written: .* has another journal; .*; and 6 more"):
            await copy(source, Wrapped(target, restore=lose))  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_is_still_written_can_be_copied_ahead(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        copier = Copier(source, target, "the old store", "the new one", T0)
        assert not await copier.begin()
        await copier.seed()
        assert await target.mark() == "copied from the old store"
        record, version = await source.load(VERA)
        assert await source.commit(Change(version, replace(record, language="en")))
        done = await copy(source, target)
        assert (done.went_on, done.written) == (True, 1)

    between(("sqlite", "sqlite"), tmp_path, body)


# Nothing is acknowledged that is not copied ---------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_who_writes_what_was_compared_already_is_not_told_that_it_is_committed(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        server = STORES[pair[0]](tmp_path / "source")
        record, version = await server.load(ANNA)
        outcomes: list[object] = []
        blind: list[str] = []

        async def serve(*arguments: Any) -> None:  # after all subscribers were seen, in every walk
            change = Change(version, record, [JournalEntry(T0, "order placed", {})])
            outcomes.extend(await asyncio.gather(server.commit(change), return_exceptions=True))

        seen = InUse(Wrapped(source, terminals=serve), None, None)  # type: ignore[arg-type]
        copier = Copier(seen, target, "the old store", "the new one", T0, unseen=blind.append)
        done = await copier.copy(await copier.begin())
        await serve()
        assert [type(each) for each in outcomes] == [StoreUnavailable] * 3
        assert done.changed == 0
        assert "the old store" in blind
        assert await differences(source, target) == []
        blind.clear()
        assert await reopen(InUse(source, None), "the old store", blind.append) == "the new one"
        assert blind == ["the old store"]
        assert await server.commit(Change(version, record, [JournalEntry(T0, "order placed", {})]))
        await server.close()

    between(pair, tmp_path, body)


def test_a_server_that_started_before_the_store_was_fenced_ends_the_copy_and_goes_on(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(CopyError, match="the old store is in use by process 7: stop what runs on it, and give the"):
            await copy(InUse(source, "process 7"), target)  # type: ignore[arg-type]
        await refuse_marked(source, "the old store")
        assert await source.forget(ANNA)
        assert (await copy(source, target)).went_on

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("which", ["source", "target"])
def test_nobody_serves_from_what_somebody_else_had_open_in_the_end(which: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        users = {"source": ("", "process 7"), "target": ("", "", "process 7")}[which]
        stores = {"source": source, "target": target}
        with pytest.raises(CopyError, match="is in use by process 7"):
            await copy(**stores | {which: InUse(stores[which], *users)})  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"
        assert await source.mark() == "moved to the new one"
        done = await copy(source, target)
        assert (done.went_on, done.written) == (True, 0)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_server_that_started_on_the_new_store_before_that_was_marked_is_left_alone(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        for users, written in ((("process 7",), False), (("", "process 7"), True)):
            with pytest.raises(CopyError, match="the new one is in use by process 7: nobody may write it meanwhile"):
                await copy(source, InUse(target, *users))  # type: ignore[arg-type]
            assert (await target.mark(), await source.mark()) == ("", ""), written
        await copy(source, target)

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_was_reopened_meanwhile_is_not_called_copied(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def back(*arguments: Any) -> None:
            await reopen(source, "the old store")

        with pytest.raises(CopyError, match="the old store was reopened meanwhile: give the same command again"):
            await copy(Wrapped(source, terminals=back), target)  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", [("sqlite", "redis"), ("redis", "sqlite")], ids="-".join)
def test_where_a_store_went_is_known_until_it_is_reopened(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        for nonempty in (False, True):
            with pytest.raises(CopyError, match="moved to the new one already: start the servers with that; or, to go"):
                await copy(source, target, into_nonempty=nonempty)
        elsewhere = Copier(source, target, "the old store", "a third", T0)
        with pytest.raises(CopyError, match="the old store is moved to the new one; end that copy, or give it up with"):
            await elsewhere.begin()
        back = Copier(target, source, "the new one", "the old store", T0)
        with pytest.raises(CopyError, match="the old store is moved to the new one; take an empty store"):
            await back.begin(into_nonempty=True)
        assert await reopen(source, "the old store") == "the new one"
        assert await reopen(source, "the old store") == ""
        assert await source.forget(ANNA)
        with pytest.raises(CopyError, match="the new one holds other data"):
            await copy(source, target)

    between(pair, tmp_path, body)


def test_a_copy_that_was_thrown_away_begins_anew(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, "restore", 5))
        for msisdn in await target.subscribers("", 100):
            await target.forget(msisdn)
        await target.set_mark("")  # as in another file of that name
        assert await source.mark() == "moved to the new one"
        assert not (await copy(source, target)).went_on
        assert await differences(source, target) == []

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_nobody_writes_what_is_copied_into_until_the_copy_has_ended(pair: tuple[str, str], tmp_path: Path) -> None:
    outcomes: list[object] = []
    fresh = Change(0, Subscriber("447700900123"))

    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        server = STORES[pair[1]](tmp_path / "target")

        async def serve(*arguments: Any) -> None:
            outcomes.extend(await asyncio.gather(server.commit(fresh), return_exceptions=True))

        unseen = InUse(Wrapped(target, load_terminal=serve), *[None] * 9)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable, match="away"):
            await copy(failing(source, "nonces", 2), unseen)  # type: ignore[arg-type]
        await serve()
        await server.close()

    async def another_process(source: Store, target: Store) -> None:
        server = STORES[pair[1]](tmp_path / "target")
        seen = InUse(target, *[None] * 9)
        with pytest.raises(StoreUnavailable, match="it is being copied from the old store"):
            await server.commit(fresh)
        assert (await copy(source, seen)).went_on  # type: ignore[arg-type]
        assert await differences(source, target) == []
        assert await server.commit(fresh)
        await server.close()

    between(pair, tmp_path, body)
    assert [type(each) for each in outcomes] == [StoreUnavailable] * 4
    between(pair, tmp_path, another_process)


@pytest.mark.parametrize("pair", [("sqlite", "redis"), ("redis", "sqlite")], ids="-".join)
def test_a_copy_that_is_not_seen_to_its_end_can_be_served_from_where_that_is_said(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        copier = Copier(source, failing(target, "restore", 5), "the old store", "the new one", T0)
        await copier.begin(into_nonempty=True)
        with pytest.raises(StoreUnavailable, match="away"):
            await copier.copy()
        with pytest.raises(CopyError, match="is not whole, it is being added to from the old store; end that copy"):
            await reopen(target, "the new one")
        with pytest.raises(CopyError, match="the new one is in use by process 7: end that first"):
            await leave_unfinished(InUse(target, "process 7"), "the new one")  # type: ignore[arg-type]
        server = STORES[pair[1]](tmp_path / "target")
        assert await leave_unfinished(InUse(target, ""), "the new one") == "the old store"  # type: ignore[arg-type]
        await refuse_marked(target, "the new one")
        assert await leave_unfinished(InUse(target, ""), "the new one") == ""  # type: ignore[arg-type]
        with pytest.raises(CopyError, match="the old store is moved to the new one, and whole; leave --unfinished out"):
            await leave_unfinished(source, "the old store")
        record, version = await server.load("447700900123")
        assert await server.commit(Change(version, record))
        await server.close()

    between(pair, tmp_path, body)


def test_a_copy_does_not_end_in_a_store_that_was_reopened_meanwhile(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def serve(*arguments: Any) -> None:
            await leave_unfinished(InUse(target, ""), "the new one")  # type: ignore[arg-type]

        with pytest.raises(CopyError, match="the new one was reopened meanwhile"):
            await copy(Wrapped(source, terminals=serve), target)  # type: ignore[arg-type]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_only_what_was_moved_is_reopened(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        with pytest.raises(StoreUnavailable):
            await copy(source, failing(target, "restore", 5))
        with pytest.raises(CopyError, match="the new one is not whole, it is being copied from the old store; end"):
            await reopen(target, "the new one")
        with pytest.raises(CopyError, match="the old store is in use by process 7: end that first"):
            await reopen(InUse(source, "process 7"), "the old store")  # type: ignore[arg-type]
        assert await source.mark() == "moved to the new one"

    between(("sqlite", "sqlite"), tmp_path, body)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["subscriber", "terminal", "nonce"])
def test_a_store_that_holds_anything_is_left_alone(what: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        if what == "subscriber":
            assert await target.commit(Change(0, Subscriber(ANNA, "en")))
        elif what == "terminal":
            assert await target.commit_terminal(Terminal("kiosk-1", "another"), 0)
        else:
            assert await target.use_nonce("kiosk-1", "another", T0)
        with pytest.raises(CopyError, match="the new one holds other data; take an empty store, or say"):
            await copy(source, target)
        assert len(await target.subscribers("", 100)) == (what == "subscriber")
        assert await target.mark() == ""

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_is_added_to_a_store_leaves_what_only_that_has(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber(ANNA, "en"), outbox=[entry("old")]))
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        copier = Copier(source, failing(target, "restore", 5), "the old store", "the new one", T0)
        assert not await copier.begin(into_nonempty=True)
        with pytest.raises(StoreUnavailable):
            await copier.copy()
        done = await copy(source, target)  # it is known that it is added to
        assert done.went_on
        for msisdn in NUMBERS:
            assert await target.dump(msisdn) == await source.dump(msisdn)
        assert await target.dump("447700900123") == Everything(Subscriber("447700900123", "en"))
        assert await target.mark() == ""

    between(("sqlite", "sqlite"), tmp_path, body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_who_is_forgotten_while_copied_ahead_does_not_come_back_with_what_is_added(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await target.commit(Change(0, Subscriber(BORIS, "en")))
        assert await target.commit(Change(0, Subscriber("447700900123", "en")))
        whole = await source.dump(VERA)
        assert whole
        await target.restore(whole)  # it had this one before, and the same
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin(into_nonempty=True)
        await copier.seed()
        for msisdn in (ANNA, BORIS, VERA):
            assert await source.forget(msisdn)
        with pytest.raises(StoreUnavailable):
            await copy(failing(source, "terminals", 1), target)
        done = await copy(source, target)
        assert done.went_on
        assert sorted(await target.subscribers("", 100)) == sorted([VERA, *NUMBERS[3:], "447700900123"])
        assert await target.brought("", 100) == []
        # Another copy takes none of them for its own.
        await reopen(source, "the old store")
        await source.forget(NUMBERS[3])
        await copy(source, target, into_nonempty=True)
        assert len(await target.subscribers("", 100)) == 11

    between(pair, tmp_path, body)


def test_who_is_gone_by_the_end_is_removed_together(tmp_path: Path) -> None:
    """To forget one costs a look at all pointers to answers, or emptying a log."""

    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin()
        await copier.seed()
        for msisdn in NUMBERS[4:]:
            assert await source.forget(msisdn)
        asked: list[list[str]] = []

        async def note(msisdns: list[str]) -> None:
            asked.append(sorted(msisdns))

        await copy(source, Wrapped(target, forget_each=note))  # type: ignore[arg-type]
        assert asked == [NUMBERS[4:]]
        assert sorted(await target.subscribers("", 100)) == NUMBERS[:4]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_belongs_to_another_there_is_not_taken_away(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        taken = KeptAnswer("kiosk-1", "key-3", b"f", b"another", T0)
        await target.restore(
            Everything(Subscriber("447700900123"), outbox=[Standing(entry("x"), T0, 0)], answers=[taken])
        )
        with pytest.raises(CopyError, match=r"7910\*\*\*0003 cannot be copied"):
            await copy(source, target, into_nonempty=True)
        assert await target.answer("kiosk-1", "key-3") == taken

    between(("sqlite", "sqlite"), tmp_path, body)


def test_half_a_store_is_neither_copied_nor_copied_into_from_another(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await source.set_mark("copied from a third")
        with pytest.raises(CopyError, match="the old store is not whole, it is being copied from a third"):
            await copy(source, target)
        await source.set_mark("")
        await target.set_mark("copied from a third")
        with pytest.raises(CopyError, match="the new one is being copied from a third; end that copy"):
            await copy(source, target)
        assert await target.nonces(None, 1) == list[Nonce]()

    between(("sqlite", "sqlite"), tmp_path, body)


RING = Keyring().completed(T0)
ROTATED = RING.rotate("kek", T0)
STRANGERS = Keyring().completed(T0)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_copy_goes_with_the_keys_that_it_is_sealed_with(pair: tuple[str, str], tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        assert await source.note_keys("", note(RING))
        copier = Copier(source, target, "the old store", "the new one", T0)
        await copier.begin()
        assert await target.noted_keys() == note(RING)
        assert await source.note_keys(note(RING), note(ROTATED))  # meanwhile
        await copier.copy()
        assert await target.noted_keys() == note(ROTATED)

    between(pair, tmp_path, body)


def test_what_is_added_must_have_the_keys_of_what_is_there(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await target.restore(Everything(Subscriber("447700900123")))
        assert await source.note_keys("", note(STRANGERS))
        assert await target.note_keys("", note(RING))
        with pytest.raises(CopyError, match="the new one has other keys than the old store; take a store"):
            await copy(source, target, into_nonempty=True)
        assert (await target.mark(), await target.noted_keys()) == ("", note(RING))
        assert await source.note_keys(note(STRANGERS), note(ROTATED))
        await copy(source, target, into_nonempty=True)
        assert await target.noted_keys() == note(ROTATED)

    between(("sqlite", "sqlite"), tmp_path, body)
