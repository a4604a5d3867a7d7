"""`ussd-server store`: a store is copied to another and compared; killed at any moment, the same command goes on."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests import redis_servers
from tests.signalled import REDIS, RETURNED, SQLITE, Point, signalled
from tests.ussd_server.cli.command_line import Said
from ussd_server.cli import store_copy
from ussd_server.stores.base import Change, JournalEntry, OutboxEntry
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

OLD, NEW = "sqlite:///old.db", "sqlite:///new.db"
LOST = "a crash of Redis loses all since its last snapshot: "
ANNA = "79101234567"
MANY = 3000
"""Subscribers in a store whose copy is interrupted; it takes them over 256 at a time."""
RUN = [sys.executable, "-m", "ussd_server", "run", "--smsc", "smpp://a:b@127.0.0.1:1", "--http", "127.0.0.1:0"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def at(name: str, work: Any) -> Any:
    async def within() -> Any:
        store = SqliteStore(Path(name))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def whole(url: str) -> str:
    """Return what a file is known by from wherever one asks."""
    return f"sqlite:///{Path(url.removeprefix('sqlite:///')).resolve()}"


def fill(name: str, many: int) -> None:
    async def one(store: SqliteStore, msisdn: str) -> None:
        outbox = [OutboxEntry(msisdn, "sms", 1, {"text": "x"})]
        assert await store.commit(Change(0, Subscriber(msisdn), [JournalEntry(1, "made", {})], outbox))

    async def work(store: SqliteStore) -> None:
        await asyncio.gather(*(one(store, str(79100000000 + number)) for number in range(many)))

    at(name, work)


@contextmanager
def held_by_another(name: str) -> Iterator[int]:
    """Let another process have the store open; return which."""
    held = (
        "import sys; from ussd_server.stores.sqlite.store import SqliteStore;"
        "store = SqliteStore(sys.argv[1]); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        try:
            yield child.pid
        finally:
            child.kill()


def test_who_goes_on_writing_during_the_copy_loses_nothing_that_was_acknowledged(said: Said) -> None:
    """A command that looks at no mark opens the old store again and again, and commits whenever it can."""
    fill("old.db", 3000)
    writer = [sys.executable, "-c", WRITES_ON, "old.db"]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        while said("store", "copy", OLD, NEW):
            assert " is in use by " in said.err
        acknowledged, refused = child.communicate(timeout=60)[0].splitlines()[-2:]
    assert refused == f"the store takes no changes: it is moved to {whole(NEW)}"
    entries = at("new.db", lambda store: store.journal("79100000000", "written"))
    assert entries[0].at == int(acknowledged)
    assert said("store", "compare", OLD, NEW) == 0


WRITES_ON = """
import asyncio, sys
from ussd_server.stores.base import Change, JournalEntry, StoreUnavailable
from ussd_server.stores.sqlite.store import SqliteStore

async def write(number):
    store = SqliteStore(sys.argv[1])
    record, version = await store.load("79100000000")
    assert await store.commit(Change(version, record, [JournalEntry(number, "written", {})]))
    await store.close()
    print(number, flush=True)

number = 0
while True:
    try:
        asyncio.run(write(number := number + 1))
    except StoreUnavailable as error:
        print(error)
        break
"""


def test_a_server_that_runs_all_the_same_is_told_to_acknowledge_nothing(said: Said) -> None:
    """One that nobody can see, as where Redis shows no clients: it had the store open before, and is not ready now."""
    fill("old.db", 3)
    with redis_servers.running() as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "mover", "on", ">right", "~*", "&*", "+@all", "-client|list")
        assert said("store", "copy", OLD, server.url) == 0
        assert said("store", "reopen", OLD) == 0
        unseeing = server.url.replace("redis://", "redis://mover:right@")
        with subprocess.Popen([*RUN, "--store", server.url], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            ready = child.stdout.readline().split()[2].rstrip(",")
            assert said("store", "copy", unseeing, NEW) == 0
            assert said.err.startswith(f"warning: it cannot be told who uses {server.url}")
            assert said.err.count("\n") == 1
            with pytest.raises(HTTPError) as failed:
                urlopen(ready)
            assert f"it is moved to {whole(NEW)}" in failed.value.read().decode()
            child.terminate()
            child.communicate(timeout=30)


def test_a_copy_that_is_given_up_or_gone_back_on_leaves_a_store_to_serve_from(said: Said) -> None:
    fill("old.db", 3)
    assert said("store", "copy", OLD, NEW) == 0
    assert f"{OLD} takes no changes any more; to go back to it: ussd-server store reopen {OLD}\n" in said.out
    moved = f"error: {OLD}: it is moved to {whole(NEW)}: name that one with --store; or, to go on with this one: "
    assert said("subscriber", "show", "79100000000", "--store", OLD) == 1
    assert said.err == f"{moved}ussd-server store reopen {OLD}\n"
    assert said("store", "copy", OLD, "sqlite:///third.db") == 1
    assert said.err.startswith(f"error: {whole(OLD)} is moved to {whole(NEW)}; end that copy, or give it up with: ")
    assert not Path("third.db").exists()
    assert said("store", "copy", OLD, NEW) == 0  # as where the command was killed behind its last write
    assert said.out.startswith(f"{whole(OLD)} was moved to {whole(NEW)} already: name that one with --store;")
    assert said.out.endswith(". Nothing was to be done.\n")
    with held_by_another("old.db") as pid:
        assert said("store", "reopen", OLD) == 1
        assert said.err == f"error: {OLD} is in use by process {pid}: end that first\n"
    assert said("store", "reopen", OLD) == 0
    assert said.out == f"Servers may run on {OLD} again. What was written in {whole(NEW)} is not in it.\n"
    assert said("subscriber", "show", "79100000000", "--store", OLD) == 0
    assert said("store", "reopen", OLD) == 0
    assert said.out == f"{OLD} was not being moved: servers may run on it.\n"
    assert said("store", "reopen", "sqlite:///none.db") == 2


def test_a_store_is_copied_compared_and_served(said: Said) -> None:
    fill("old.db", 300)
    assert said("store", "copy", OLD, NEW) == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["FROM", "TO"]
    assert ["subscribers", "300", "300"] in [line.split() for line in lines]
    (digests,) = (line.split()[1:] for line in lines if line.startswith("digest"))
    assert digests[0] == digests[1]
    assert lines[-1] == f"Copied: 300 records written, and nothing differs. Start the servers with --store {NEW}"
    assert said("store", "compare", OLD, NEW) == 0
    assert said.out.splitlines()[-1] == "Nothing differs."
    assert said("subscriber", "journal", "79100000000", "--store", NEW) == 0


def test_of_an_empty_store_it_is_said_that_it_is(said: Said) -> None:
    fill("old.db", 0)
    assert said("store", "copy", OLD, NEW) == 0
    assert said.lines[1].split() == ["subscribers", "0", "0"]


def test_differences_are_named_without_numbers(said: Said) -> None:
    fill("old.db", 3)
    assert said("store", "copy", OLD, NEW) == 0
    at("new.db", lambda store: store.forget("79100000001"))
    assert said("store", "compare", OLD, NEW) == 1
    assert said.out.splitlines()[-2:] == ["7910***0001 is missing", "1 differs."]
    at("new.db", lambda store: store.forget("79100000002"))
    assert said("store", "compare", OLD, NEW) == 1
    assert said.out.splitlines()[-1] == "2 differ."


def test_a_store_that_is_in_use_is_copied_only_ahead(said: Said) -> None:
    fill("old.db", 10)
    with held_by_another("old.db") as pid:
        assert said("store", "copy", OLD, NEW) == 1
        assert said.err.startswith(f"error: {OLD} is in use by process {pid}: stop the servers that run on it")
        assert not Path("new.db").exists()
        assert said("store", "copy", OLD, NEW, "--while-running") == 0
        assert "Copied what differed (10 records). The rest goes quicker:" in said.out
        assert said.lines[-1] == f"stop the servers of {OLD}, and give the same command without --while-running."
        assert said("subscriber", "show", ANNA, "--store", NEW) == 1
        assert said.err == (
            f"error: {NEW}: it is being copied from {whole(OLD)}; "
            "end that first, with: ussd-server store copy FROM TO; or, to serve from the part that is there: "
            f"ussd-server store reopen {NEW} --unfinished\n"
        )
    assert said("store", "copy", OLD, NEW) == 0
    assert "Went on with the copy: 0 records written, and nothing differs." in said.out


def test_a_copy_goes_on_from_the_same_store_alone(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill("old.db", 3)
    assert said("store", "copy", OLD, NEW, "--while-running") == 0
    other = tmp_path / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    fill("old.db", 1)
    assert said("store", "copy", OLD, "sqlite:///../new.db") == 1
    begun = f"being copied from sqlite:///{tmp_path / 'old.db'}"
    assert said.err == f"error: sqlite:///{tmp_path / 'new.db'} is {begun}; end that copy, or take an empty store\n"
    assert len(at("../new.db", lambda store: store.subscribers("", 10))) == 3
    assert said("store", "copy", "sqlite:///../old.db", "sqlite:///../new.db") == 0
    assert "Went on with the copy: 0 records written, and nothing differs." in said.out


def test_the_stores_of_two_prefixes_are_two(said: Said) -> None:
    fill("a.db", 3)
    fill("b.db", 2)
    with redis_servers.running() as server:
        one, other = (f"{server.url}?prefix={prefix}" for prefix in ("a", "b"))
        for whence, to in (("a.db", one), ("b.db", f"{other}&buckets=4")):
            assert said("store", "copy", f"sqlite:///{whence}", to) == 0
            more = ", with what else stands behind its ?" if "buckets" in to else ""
            assert said.out.endswith(f"Start the servers with --store '{to.partition('&')[0]}'{more}\n")
        assert said("store", "copy", one, NEW, "--while-running") == 0
        assert said("store", "copy", other, NEW) == 1
        assert said.err == f"error: {whole(NEW)} is being copied from {one}; end that copy, or take an empty store\n"
        assert said("store", "copy", one, NEW) == 0
        assert "Went on with the copy: 0 records written, and nothing differs." in said.out
        assert said("store", "copy", one, f"{one}&replicas=0", "--into-nonempty") == 2
        assert said.err == f"error: FROM and TO are the same store, {one}\n"


def test_what_the_new_store_could_lose_is_told_before_anything_is_copied(said: Said) -> None:
    fill("old.db", 3)
    with redis_servers.running("--appendonly", "no", "--save", "") as server:
        assert said("store", "copy", OLD, server.url, "--require-durable") == 1
        assert said.err.startswith(f"error: {server.url}: not durable, and --require-durable is given: {LOST}")
        with server.client() as client:
            assert client.dbsize() == 0
        assert said("store", "copy", OLD, server.url, "--while-running") == 0
        assert said.err.startswith(f"warning: {server.url} may lose what it acknowledged: {LOST}")
        assert said("store", "compare", OLD, server.url) == 0
        assert said.err == ""
    with redis_servers.running() as server:
        assert said("store", "copy", OLD, server.url, "--require-durable") == 0
        assert said.err == ""


def test_no_server_serves_from_half_a_store(said: Said) -> None:
    at("new.db", lambda store: store.set_mark(f"copied from {OLD}"))
    done = subprocess.run([*RUN, "--store", NEW], stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {NEW}: it is being copied from {OLD}; end that first")
    assert done.stderr.count("\n") == 1


def test_half_a_store_is_served_from_only_where_that_is_said(said: Said) -> None:
    fill("old.db", 3)
    assert said("store", "copy", OLD, NEW, "--while-running") == 0
    assert said("subscriber", "show", "79100000000", "--store", NEW) == 1
    assert said.err.endswith(f"to serve from the part that is there: ussd-server store reopen {NEW} --unfinished\n")
    assert said("store", "reopen", NEW) == 1
    assert said.err.endswith("end that copy first; or, to serve from the part that is there, say --unfinished\n")
    assert said("store", "reopen", NEW, "--unfinished") == 0
    assert said.out == f"Servers may run on {NEW}, with as much of {whole(OLD)} as was copied until now.\n"
    assert said("subscriber", "show", "79100000000", "--store", NEW) == 0
    assert said("store", "reopen", NEW, "--unfinished") == 0
    assert said.out == f"{NEW} was not being copied into: servers may run on it.\n"
    assert said("store", "copy", OLD, NEW) == 1
    assert " holds other data" in said.err


def test_where_nobody_knows_who_uses_a_store_that_is_told_and_a_part_is_served_from_when_a_person_says_so(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unseen(store: SqliteStore) -> None:
        return None

    answers = iter([False, True])
    asked: list[str] = []
    monkeypatch.setattr(SqliteStore, "in_use", unseen)
    monkeypatch.setattr(store_copy, "confirmed", lambda question: (asked.append(question), next(answers))[1])
    fill("old.db", 3)
    assert said("store", "copy", OLD, NEW) == 0
    assert said("store", "reopen", OLD) == 0
    assert said.err.startswith(f"warning: it cannot be told who uses {OLD}: ")
    assert said.err.count("\n") == 1
    assert said("store", "copy", OLD, "sqlite:///part.db", "--while-running") == 0
    part = ("store", "reopen", "sqlite:///part.db", "--unfinished")
    assert said(*part) == 1
    assert said.lines == []
    assert said.err.startswith("warning: it cannot be told who uses sqlite:///part.db: ")
    assert said.err.endswith("\nerror: nothing was changed\n")
    assert said("subscriber", "show", "79100000000", "--store", "sqlite:///part.db") == 1
    assert said(*part) == 0
    assert said.err.count("\n") == 1
    assert asked == 2 * ["Is it sure that nothing runs on sqlite:///part.db?"]
    assert said("subscriber", "show", "79100000000", "--store", "sqlite:///part.db") == 0
    assert said("store", "copy", OLD, "sqlite:///other.db", "--while-running") == 0
    assert said("store", "reopen", "sqlite:///other.db", "--unfinished", "--yes") == 0
    assert said.err.startswith("warning: it cannot be told who uses ")
    assert len(asked) == 2


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_who_writes_on_what_is_copied_into_is_refused_and_nothing_of_it_is_acknowledged(kind: str, said: Said) -> None:
    """A server that looked for a mark before there was one has the new store open, and nobody can tell."""
    fill("old.db", 50)
    with redis_servers.running() as server:
        to = NEW if kind == "sqlite" else server.url
        writer = [sys.executable, "-c", WRITES_ON_WHAT_IS_COPIED_INTO, to]
        assert said("store", "copy", OLD, to, "--while-running") == 0
        done = subprocess.run(writer, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        assert done.stdout == 2 * f"the store takes no changes: it is being copied from {whole(OLD)}\n"
        assert said("store", "copy", OLD, to) == 0
        assert said("store", "compare", OLD, to) == 0
        assert subprocess.run(writer, stdout=subprocess.PIPE, text=True, check=True).stdout == "committed\n" * 2


WRITES_ON_WHAT_IS_COPIED_INTO = """
import asyncio, sys
from ussd_server import store_url
from ussd_server.stores.base import Change, JournalEntry, StoreUnavailable
from ussd_server.stores.opening import open_store

async def main():
    store = await open_store(store_url.parse(sys.argv[1]))
    for msisdn in ("79100000000", "79100009999"):
        record, version = await store.load(msisdn)
        try:
            assert await store.commit(Change(version, record, [JournalEntry(1, "written", {})]))
            print("committed")
        except StoreUnavailable as error:
            print(str(error)[str(error).index("the store takes"):])
    await store.close()

asyncio.run(main())
"""


def test_nobody_may_write_what_is_copied_into(said: Said) -> None:
    fill("old.db", 1)
    with held_by_another("new.db") as pid:
        assert said("store", "copy", OLD, NEW) == 1
        assert said.err == f"error: {whole(NEW)} is in use by process {pid}: nobody may write it meanwhile\n"


def test_what_holds_data_is_added_to_only_where_that_is_said(said: Said) -> None:
    fill("old.db", 2)
    at("new.db", lambda store: store.commit(Change(0, Subscriber(ANNA))))
    assert said("store", "copy", OLD, NEW) == 1
    assert said.err == f"error: {whole(NEW)} holds other data; take an empty store, or say --into-nonempty\n"
    assert said("store", "copy", OLD, NEW, "--into-nonempty") == 0
    assert sorted(at("new.db", lambda store: store.subscribers("", 10))) == ["79100000000", "79100000001", ANNA]


def test_what_has_other_keys_is_added_to_where_these_are_joined_as_it_is_told(said: Said) -> None:
    fill("old.db", 1)
    at("new.db", lambda store: store.commit(Change(0, Subscriber(ANNA))))
    for data, store in (("old", OLD), ("new", NEW)):
        assert said("keys", "init", "--data", data, "--store", store) == 0
        assert said("keys", "rewrap", "--data", data, "--store", store) == 0
    assert said("store", "copy", OLD, NEW, "--into-nonempty") == 1
    assert said.err == (
        f"error: {whole(NEW)} has other keys than {whole(OLD)}: bring both into one keys.json with ussd-server keys "
        "join, have TO remember them with ussd-server keys rewrap, and copy again; or take a store with the same keys\n"
    )
    assert said("keys", "join", "old/keys.json", "--signing", "--data", "new", "--store", NEW) == 0
    assert said("keys", "rewrap", "--data", "new", "--store", NEW) == 0
    assert said("store", "copy", OLD, NEW, "--into-nonempty") == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((OLD, OLD), "FROM and TO are the same store, sqlite:///old.db"),
        (("old.db", NEW), "FROM: 'old.db' is not a store; write sqlite:///PATH"),
        ((OLD, "none"), "TO: 'none' is not a store"),
        (("sqlite:///none.db", NEW), "sqlite:///none.db: there is no such file"),
    ],
)
def test_wrong_usage_is_one_line(words: tuple[str, str], text: str, said: Said) -> None:
    fill("old.db", 1)
    assert said("store", "copy", *words) == 2
    assert text in said.err
    assert said.err.count("\n") == 1
    assert not Path("new.db").exists()


def test_compare_makes_nothing(said: Said) -> None:
    fill("old.db", 1)
    assert said("store", "compare", OLD, NEW) == 2
    assert said.err == f"error: {NEW}: there is no such file; a server makes it at its first start\n"
    assert not Path("new.db").exists()


def points_of_a_copy(into: str) -> list[Point]:
    """Return when copies into this kind of store are killed: one that marks it, and three that write records."""
    return [Point(RETURNED, f"{into}.set_mark"), *(Point(RETURNED, f"{into}.restore", nth) for nth in (1, 600, 600))]


def test_a_copy_that_is_killed_again_and_again_ends_right(said: Said) -> None:
    fill("old.db", MANY)
    left = [MANY]
    for point in points_of_a_copy(SQLITE):
        assert signalled(("store", "copy", OLD, NEW), signal.SIGKILL, point).code == -signal.SIGKILL
        left.append(MANY - at("new.db", lambda store: store.count_subscribers()))
        assert at("new.db", lambda store: store.mark()) == f"copied from {whole(OLD)}"
    assert left[:2] == [MANY, MANY]
    assert MANY > left[2] > left[3] > left[4] > 0
    assert said("store", "copy", OLD, NEW) == 0
    assert f"Went on with the copy: {left[-1]} records written, and nothing differs." in said.out
    assert said("store", "compare", OLD, NEW) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_interrupts_a_copy_reads_that_it_goes_on(number: signal.Signals, code: int, said: Said) -> None:
    fill("old.db", MANY)
    goes_on = (
        f"interrupted; the same command goes on where it stopped, and to give it up: ussd-server store reopen {OLD}"
    )
    point = Point(RETURNED, f"{SQLITE}.restore")
    assert signalled(("store", "copy", OLD, NEW), number, point) == (code, "", f"{goes_on}\n")
    assert said("store", "copy", OLD, NEW) == 0
    assert "Went on with the copy: " in said.out


def test_whom_the_list_of_a_redis_lost_is_copied_all_the_same(said: Said) -> None:
    fill("old.db", 40)
    with redis_servers.running() as server:
        assert said("store", "copy", OLD, server.url) == 0
        with server.client() as client:
            listed = next(client.scan_iter("*:all"))
            lost = client.zcard(listed)
            client.delete(listed)
        assert said("store", "copy", server.url, NEW) == 0
        assert f"had {lost} subscribers in no list" in said.err
    assert at("new.db", lambda store: store.count_subscribers()) == 40


def test_from_sqlite_to_redis_and_back_again_nothing_differs_however_often_it_is_killed(said: Said) -> None:
    fill("old.db", MANY)
    with redis_servers.running() as server:
        for whence, to, kind in ((OLD, server.url, REDIS), (server.url, NEW, SQLITE)):
            for point in points_of_a_copy(kind):
                assert signalled(("store", "copy", whence, to), signal.SIGKILL, point).code == -signal.SIGKILL
            assert said("store", "copy", whence, to) == 0
            assert "Went on with the copy: " in said.out
            assert f"{MANY} records written" not in said.out
        assert said("store", "compare", OLD, NEW) == 0
        assert said("store", "compare", server.url, OLD) == 0
