"""What a store acknowledged stays, whether it is closed, killed in the midst, or worked on by several processes."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.contracts.store.steps import ANNA, LEASE, T0, Open, ids, on, put
from tests.contracts.stores import STORES
from ussd_server.stores.base import JOURNAL_ENTRIES, Change, KeptAnswer, Store, StoreUnavailable
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal


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
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


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
        async with asyncio.timeout(60):
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
        oldest = max(count - JOURNAL_ENTRIES, 0)
        assert [each.at for each in await store.journal(ANNA)] == list(range(count, oldest, -1))
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
