"""A server sweeps its store, takes up new keys and watches its loop, and no failure of these ends them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from structlog.testing import capture_logs

from ussd_server.housekeeping import CLOCK_S, COUNT_S, KEYS_S, LAG_S, RISKS_S, SWEEP_S, SWEPT, Housekeeping
from ussd_server.metrics import Metrics
from ussd_server.secrecy.agreement import OtherKeys
from ussd_server.secrecy.keys import KeysError
from ussd_server.stores.base import OUTBOX_KINDS, Change, OutboxEntry, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber


class Pauses:
    """Pauses that end when the test says so, by their length."""

    def __init__(self) -> None:
        self.begun: defaultdict[float, asyncio.Event] = defaultdict(asyncio.Event)
        self.ends: defaultdict[float, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, seconds: float) -> None:
        self.begun[seconds].set()
        await self.ends[seconds].wait()
        self.ends[seconds].clear()

    async def end(self, seconds: float) -> None:
        """End a pause, and return when what follows it is done and the next has begun."""
        await self.begun[seconds].wait()
        self.begun[seconds].clear()
        self.ends[seconds].set()
        await self.begun[seconds].wait()


async def _nothing() -> None:
    pass


async def _no_risks() -> int:
    return 0


async def _right_clock() -> float:
    return 0.0


def keep_house(
    place: Path,
    body: Callable[[SqliteStore, Housekeeping, Pauses, Metrics], Awaitable[None]],
    refresh: Callable[[str], bool] = lambda noted: False,
    note: Callable[[], Awaitable[None]] = _nothing,
    compare: Callable[[], Awaitable[None]] = _nothing,
    look: Callable[[], Awaitable[int]] = _no_risks,
    look_at_clock: Callable[[], Awaitable[float]] = _right_clock,
    ticks: Mapping[str, Callable[[float], None]] = MappingProxyType({}),
    now: Callable[[], int] = lambda: 1_000,
) -> None:
    async def main() -> None:
        store = SqliteStore(place / "store.db")
        pauses, metrics = Pauses(), Metrics()
        house = Housekeeping(store, refresh, note, compare, look, look_at_clock, metrics, now, ticks, pauses)
        house.start()
        await body(store, house, pauses, metrics)
        await house.stop()
        await store.close()

    asyncio.run(main())


def test_what_is_over_is_swept_however_much_it_is(tmp_path: Path) -> None:
    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        over = [store.use_nonce("t", f"over-{number}", 999) for number in range(SWEPT + 20)]
        await asyncio.gather(*over, store.use_nonce("t", "good", 2_000))
        await pauses.end(SWEEP_S)
        assert await store.sweep(1_000, SWEPT) == 0
        assert not await store.use_nonce("t", "good", 2_000)

    keep_house(tmp_path, body)


def test_a_store_that_is_away_is_swept_when_it_is_back(tmp_path: Path) -> None:
    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        await store.close()
        with capture_logs() as logs:
            await pauses.end(SWEEP_S)
            await pauses.end(SWEEP_S)
        assert [line["event"] for line in logs] == ["store unavailable, nothing swept"]

    keep_house(tmp_path, body)


def test_what_the_store_could_lose_is_looked_at_again_and_shown(tmp_path: Path) -> None:
    looks = iter([2, StoreUnavailable("away"), 0])
    shown: list[float] = []

    async def look() -> int:
        found = next(looks)
        if isinstance(found, StoreUnavailable):
            raise found
        return found

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        for _ in range(3):
            shown.append(metrics.store_risks)
            await pauses.end(RISKS_S)
        shown.append(metrics.store_risks)

    keep_house(tmp_path, body, look=look)
    assert shown == [0, 2, 2, 0]


def test_the_clock_is_compared_with_the_stores_again_and_shown(tmp_path: Path) -> None:
    looks = iter([7.5, StoreUnavailable("away"), -0.5])
    shown: list[float] = []

    async def look() -> float:
        found = next(looks)
        if isinstance(found, StoreUnavailable):
            raise found
        return found

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        for _ in range(3):
            await pauses.end(CLOCK_S)
            shown.append(metrics.clock_offset)

    keep_house(tmp_path, body, look_at_clock=look)
    assert shown == [7.5, 7.5, -0.5]


def test_new_keys_are_taken_up_and_a_bad_file_is_told(tmp_path: Path) -> None:
    looks = iter([False, True, KeysError("var/keys.json is not a key file"), True])

    def refresh(noted: str) -> bool:
        found = next(looks)
        if isinstance(found, KeysError):
            raise found
        return found

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        with capture_logs() as logs:
            for _ in range(4):
                await pauses.end(KEYS_S)
        events = [line["event"] for line in logs]
        assert events == [
            "keys taken up",
            "keys not taken up, the old ones stay",
            "the key file can be used again",
            "keys taken up",
        ]

    keep_house(tmp_path, body, refresh)


def test_a_file_that_is_not_taken_up_is_told_every_minute_and_another_trouble_at_once(tmp_path: Path) -> None:
    """Who overlooks one line would have the next restart lose the keys."""
    looks = iter([*["gone"] * 31, "lacks kek-1", ""])
    at = iter(range(0, 1_000_000, 1_000))  # read twice a look

    def refresh(noted: str) -> bool:
        if cause := next(looks):
            raise KeysError(cause)
        return False

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        with capture_logs() as logs:
            for _ in range(33):
                await pauses.end(KEYS_S)
        assert [(line["event"], line.get("cause")) for line in logs] == [
            ("keys not taken up, the old ones stay", "gone"),
            ("keys not taken up, the old ones stay", "gone"),
            ("keys not taken up, the old ones stay", "lacks kek-1"),
            ("the key file can be used again", None),
        ]

    keep_house(tmp_path, body, refresh, now=lambda: next(at))


def test_a_changed_file_is_judged_by_what_the_store_remembers_unless_that_is_away(tmp_path: Path) -> None:
    told: list[str] = []

    def refresh(noted: str) -> bool:
        told.append(noted)
        return False

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        assert await store.note_keys("", "[]")
        await pauses.end(KEYS_S)
        await store.close()
        await pauses.end(KEYS_S)
        assert told == ["[]", ""]

    keep_house(tmp_path, body, refresh)


def test_who_asks_for_a_look_at_the_keys_gets_one_that_knows_what_the_store_remembers(tmp_path: Path) -> None:
    """As at SIGHUP: a file without a key that the servers have left is a good one."""
    told: list[str] = []
    compared = asyncio.Event()

    def refresh(noted: str) -> bool:
        told.append(noted)
        return False

    async def compare() -> None:
        compared.set()

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        assert await store.note_keys("", "[]")
        for _ in range(2):
            compared.clear()
            house.look_at_keys()
            async with asyncio.timeout(20):
                await compared.wait()
        assert told == ["[]", "[]"]

    keep_house(tmp_path, body, refresh, compare=compare)


def test_what_was_taken_up_is_noted_at_the_store_when_that_can_be(tmp_path: Path) -> None:
    looks = iter([False, True, False, False, True, False])
    outcomes = iter([StoreUnavailable("away"), None, OtherKeys("other keys")])
    noted = []

    async def note() -> None:
        noted.append(next(outcomes))
        if noted[-1] is not None:
            raise noted[-1]

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        with capture_logs() as logs:
            seen = []
            for _ in range(6):
                await pauses.end(KEYS_S)
                seen.append(len(noted))
        assert seen == [0, 1, 2, 2, 3, 3]
        assert [line["event"] for line in logs] == [
            "keys taken up",
            "keys taken up",
            "the keys of this store's servers are not here",
            "the keys of this store's servers are here again",
        ]

    keep_house(tmp_path, body, lambda noted: next(looks), note)


def test_keys_that_others_have_and_are_not_here_are_told_until_they_are(tmp_path: Path) -> None:
    """Also where nothing was taken up here: it is the others that have rotated."""
    outcomes = iter([None, OtherKeys("lacks kek-1"), StoreUnavailable("away"), OtherKeys("lacks kek-1, kek-2"), None])

    async def compare() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        with capture_logs() as logs:
            seen = []
            for _ in range(5):
                await pauses.end(KEYS_S)
                seen.append(house.other_keys)
        assert seen == ["", "lacks kek-1", "lacks kek-1", "lacks kek-1, kek-2", ""]
        assert [(line["event"], line.get("cause")) for line in logs] == [
            ("the keys of this store's servers are not here", "lacks kek-1"),
            ("the keys of this store's servers are here again", None),
        ]

    keep_house(tmp_path, body, compare=compare)


def test_the_loop_is_measured(tmp_path: Path) -> None:
    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        await pauses.end(LAG_S)
        await pauses.end(LAG_S)
        assert sum(metrics.loop_lag.counts) == 2

    keep_house(tmp_path, body)


def test_a_defect_in_a_tick_is_told_and_the_others_go_on_as_it_does(tmp_path: Path) -> None:
    """Else the limit of overload would stand still for ever."""
    seen: list[str] = []

    def broken(now: float) -> None:
        seen.append("broken")
        raise ValueError("a defect")

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        with capture_logs() as logs:
            await pauses.end(LAG_S)
            await pauses.end(LAG_S)
        assert seen == ["broken", "sound", "broken", "sound"]
        assert metrics.housekeeping_failed == {"screens": 2}
        # Twenty times a second: it is said once a minute.
        assert [(line["event"], line["work"]) for line in logs] == [
            ("housekeeping failed, it is done again", "screens")
        ]
        assert repr(logs[0]["exc_info"]) == "ValueError('a defect')"

    keep_house(tmp_path, body, ticks={"screens": broken, "overload": lambda now: seen.append("sound")})


def test_no_defect_in_the_store_or_the_keys_ends_what_looks_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: Counter[str] = Counter()

    def failing(name: str) -> Callable[..., Any]:
        async def fail(*_: object) -> Any:
            times[name] += 1
            raise ValueError("a damaged row")

        return fail

    def refresh(noted: str) -> bool:
        times["keys"] += 1
        raise ValueError("a defect")

    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        monkeypatch.setattr(store, "sweep", failing("sweep"))
        monkeypatch.setattr(store, "count_dead_letters", failing("dead letters"))
        with capture_logs() as logs:
            for pause in (SWEEP_S, COUNT_S, RISKS_S, KEYS_S) * 2:
                await pauses.end(pause)
        assert times == metrics.housekeeping_failed
        assert min(times[name] for name in ("sweep", "dead letters", "risks", "keys")) >= 2
        assert sorted(line["work"] for line in logs) == ["dead letters", "keys", "risks", "sweep"]

    keep_house(tmp_path, body, refresh, look=failing("risks"))


def test_what_was_given_up_is_counted_and_none_is_a_number_too(tmp_path: Path) -> None:
    async def body(store: SqliteStore, house: Housekeeping, pauses: Pauses, metrics: Metrics) -> None:
        outbox = [OutboxEntry("a", "sms", 1, {}), OutboxEntry("b", "command", 1, {})]
        await store.commit(Change(0, Subscriber("79100000001"), outbox=outbox))
        for claimed in await store.claim(1, 10, 10):
            await store.bury(claimed, 1, "refused")
        await pauses.end(COUNT_S)
        none = dict.fromkeys(OUTBOX_KINDS, 0)
        assert metrics.dead_letters == none | {"command": 1, "sms": 1}
        record, version = await store.load("79100000001")
        assert await store.commit(Change(version, record, exhumed=["b"]))
        await pauses.end(COUNT_S)
        assert metrics.dead_letters == none | {"sms": 1}
        assert metrics.store_reached == 1
        await store.close()
        with capture_logs() as logs:
            await pauses.end(COUNT_S)
        assert [line["event"] for line in logs] == ["store unavailable, dead letters not counted"]
        assert metrics.dead_letters == none | {"sms": 1}
        assert metrics.store_reached == 0

    keep_house(tmp_path, body)
