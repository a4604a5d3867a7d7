"""What terminals use up is counted in the store, among several servers, and a store that is away changes no answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from structlog.testing import capture_logs

from ussd_server.secrecy.vault import MOST_CHECKS
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.tally import MOST_CHECKS_OF_ONE, Tally

NOW = 1_800_000_000_000
TERMINAL = Terminal("hall", "Hall", wrong_an_hour=3, orders_an_hour=2)


def play(directory: Path, story: Callable[[SqliteStore, Tally], Awaitable[None]]) -> None:
    async def main() -> None:
        store = SqliteStore(directory / "store.db")
        await store.commit_terminal(TERMINAL, 0)
        await story(store, Tally(store))
        await store.close()

    asyncio.run(main())


def test_wrong_entries_at_once_are_all_counted_and_the_last_one_quarantines(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        with capture_logs() as logs:
            await asyncio.gather(*(each.wrong(TERMINAL, NOW) for each in (tally, Tally(store), tally)))
        terminal, _ = await store.load_terminal("hall")
        assert terminal is not None
        assert (terminal.wrong, terminal.standing) == ((NOW,) * 3, "quarantined")
        assert [(line["event"], line["cause"]) for line in logs] == [
            ("terminal quarantined", "3 wrong entries in an hour")
        ]

    play(tmp_path, story)


def test_orders_at_once_at_two_servers_stay_within_the_budget(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        refusals = await asyncio.gather(*(each.order(TERMINAL, NOW) for each in (tally, Tally(store)) * 3))
        refused = [each for each in refusals if each is not None]
        assert len(refused) == 4
        assert {(each.kind.name, each.retry_after) for each in refused} == {("too-many-requests", 3600)}

    play(tmp_path, story)


def test_a_terminal_that_is_no_longer_there_orders_nothing(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        refused = await tally.order(Terminal("street", "Street"), NOW)
        assert refused is not None
        assert refused.kind.name == "busy"
        await store.commit_terminal(Terminal("street", "Street", standing="quarantined"), 0)
        refused = await tally.order(Terminal("street", "Street"), NOW)
        assert refused is not None
        assert refused.kind.name == "terminal-quarantined"

    play(tmp_path, story)


def test_a_store_that_is_away_leaves_a_wrong_entry_told_and_not_counted(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        await store.close()
        with capture_logs() as logs:
            await tally.wrong(TERMINAL, NOW)
        assert [line["event"] for line in logs] == ["store unavailable, wrong entry not counted"]

    play(tmp_path, story)


def test_entries_that_are_being_checked_count_as_wrong_until_they_are_settled(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        with ExitStack() as checks:
            seen = [checks.enter_context(tally.check(TERMINAL, NOW)) for _ in range(4)]
            assert seen[:3] == [None] * 3
            assert seen[3] is not None
            assert (seen[3].kind.name, seen[3].retry_after) == ("too-many-requests", 1)
        with tally.check(TERMINAL, NOW) as again:
            assert again is None

    play(tmp_path, story)


def test_one_terminal_leaves_half_of_the_places_to_the_others(tmp_path: Path) -> None:
    async def story(store: SqliteStore, tally: Tally) -> None:
        gateway, hall = (Terminal(name, name, wrong_an_hour=1_000) for name in ("gateway", "hall"))
        with ExitStack() as checks:
            refusals = [checks.enter_context(tally.check(gateway, NOW)) for _ in range(MOST_CHECKS)]
            assert refusals.count(None) == MOST_CHECKS_OF_ONE < MOST_CHECKS
            assert checks.enter_context(tally.check(hall, NOW)) is None
        with tally.check(gateway, NOW) as refusal:
            assert refusal is None

    play(tmp_path, story)
