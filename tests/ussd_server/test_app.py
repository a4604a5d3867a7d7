"""A stopping server finishes what it has begun: an SMS under way gets its response before the link is let go."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smpp.alphabets import choose
from smpp.constants import CommandId, Status, Ton
from smpp.events import BindRequested, Bound, Delivered, Event
from smpp.link import Link
from smpp.pdu import Message
from smpp.states import Role
from smpp.transport import LINGER_SECONDS, Connection, Listener, listen
from tests import redis_servers
from tests.ussd_server.stores.redis.steps import elsewhere
from tests.ussd_server.turns.bench import MSISDN, SMALL
from ussd_server import app, housekeeping
from ussd_server.app import Server, wall_clock
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.intake import TOGETHER
from ussd_server.cli.process import STOP_S
from ussd_server.outbox.leaving import RELEASE_S
from ussd_server.secrecy import agreement, joining, keys
from ussd_server.secrecy.agreement import OtherKeys, note
from ussd_server.secrecy.keys import load_or_create
from ussd_server.settings import SettingsError, load
from ussd_server.stores.base import MESSAGES, Change, JournalEntry
from ussd_server.stores.sqlite.store import SqliteStore


class SlowSmsc:
    """Takes the bind and every submit, and responds to submits when told."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.submitted: list[Message] = []
        self.news = asyncio.Event()

    def on_event(self, connection: Connection, event: Event) -> None:
        """Play the SMSC."""
        match event:
            case BindRequested(pdu=pdu):
                connection.accept(pdu, "SMSC")
            case Bound():
                self.connection = connection
            case Delivered(pdu=pdu):
                self.submitted.append(pdu)
        self.news.set()

    def respond(self) -> None:
        """Take what was submitted so far."""
        assert self.connection is not None
        for number, message in enumerate(self.submitted):
            self.connection.respond(message, Status.ROK, str(number))

    async def seen(self, submits: int) -> Connection:
        """Return the connection when it is bound and has brought so many submits."""
        async with asyncio.timeout(20):
            while self.connection is None or len(self.submitted) < submits:
                self.news.clear()
                await self.news.wait()
        return self.connection


def activation() -> Message:
    text = choose("111")
    return Message(
        CommandId.DELIVER_SM,
        source_addr_ton=Ton.INTERNATIONAL,
        source_addr_npi=1,
        source_addr=MSISDN,
        destination_addr="2163",
        data_coding=text.data_coding,
        short_message=text.data,
    )


def server_of(listener: Listener, data: Path) -> Server:
    smsc = f"smpp://user:password@127.0.0.1:{listener.port}"
    return Server(load({"data": data, "flows": SMALL, "smsc": [smsc]}))


def test_an_sms_under_way_at_a_stop_gets_its_response_and_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "OUTBOX_STOP_S", 0)  # the response comes later, while the link drains

    async def main() -> None:
        smsc = SlowSmsc()
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), smsc.on_event)
        server = server_of(listener, tmp_path)
        await server.start()
        (await smsc.seen(0)).send(activation(), "input")
        await smsc.seen(1)
        drain = server.gateway.stop

        async def answered_meanwhile(drain_ms: int) -> None:
            smsc.respond()
            await drain(drain_ms)

        monkeypatch.setattr(server.gateway, "stop", answered_meanwhile)
        await server.stop()
        await listener.close()
        store = SqliteStore(tmp_path / "ussd-server.db")
        assert await store.next_due([MESSAGES]) is None
        await store.close()

    asyncio.run(main())


def test_a_stop_in_a_flood_answers_all_that_was_read_before_it_unbinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[Answer] = []
    at_the_unbind: list[int] = []

    async def main() -> None:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)
        server = server_of(listener, tmp_path)
        await server.start()
        (account,) = server.gateway.accounts.values()
        # Refused when it is handed in, so that no turn is under way meanwhile.
        dialled = Input(MSISDN, account.screen, "dial", "*111#", account.name, "1", "link", 1, 1)
        drain, drain_outbox = server.gateway.stop, server.outbox.drain

        async def read_meanwhile(seconds: float) -> None:
            await drain_outbox(seconds)
            account.backlog.stands = True
            account.intake.read.extend([(dialled, answered.append)] * 10 * TOGETHER)
            account.intake.hand_in()

        async def noted(drain_ms: int) -> None:
            at_the_unbind.append(len(answered))
            await drain(drain_ms)

        monkeypatch.setattr(server.outbox, "drain", read_meanwhile)
        monkeypatch.setattr(server.gateway, "stop", noted)
        await server.stop()
        await listener.close()

    asyncio.run(main())
    assert at_the_unbind == [10 * TOGETHER]


@pytest.mark.parametrize("kind", ["SQLITE", "ALONE"])
def test_a_server_keeps_as_much_of_a_journal_as_is_set(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = {} if kind == "SQLITE" else {"store": redis_servers.url_for(kind, tmp_path)}
        server = Server(load({"data": tmp_path, "flows": SMALL, "journal_entries": 2, **store}))
        await server.start()
        for at in range(4):
            record, version = await server.store.load(MSISDN)
            assert await server.store.commit(Change(version, record, [JournalEntry(at, "sms ended")]))
        assert [each.at for each in await server.store.journal(MSISDN)] == [3, 2]
        await server.stop()

    asyncio.run(main())


def test_the_limits_of_a_stop_leave_time_to_close() -> None:
    outbox = app.OUTBOX_STOP_S + app.SETTLE_STOP_S + RELEASE_S
    assert app.TURNS_STOP_S + outbox + app.DRAIN_MS / 1000 + LINGER_SECONDS <= STOP_S - 0.5


def test_a_server_with_other_keys_than_the_stores_other_servers_does_not_start_and_makes_none(tmp_path: Path) -> None:
    async def main() -> None:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)

        def server(name: str) -> Server:
            options = {"data": tmp_path / name, "store": f"sqlite:///{tmp_path}/shared.db", "flows": SMALL}
            return Server(load({**options, "smsc": [f"smpp://user:password@127.0.0.1:{listener.port}"]}))

        first = server("first")
        await first.start()
        second = server("second")
        with pytest.raises(
            OtherKeys, match=f"shared.db: its servers have the .* there is no {tmp_path}/second/keys.json"
        ):
            await second.start()
        assert second.created_keys is None
        assert not (tmp_path / "second" / "keys.json").exists()
        strange = load_or_create(tmp_path / "second", 1).path.read_bytes()
        with pytest.raises(
            OtherKeys, match=f"its servers have other keys than {tmp_path}/second/keys.json, which lacks"
        ):
            await server("second").start()
        assert (tmp_path / "second" / "keys.json").read_bytes() == strange
        # The copy, of which a key was replaced since.
        ring = keys.load(tmp_path / "first" / "keys.json")
        keys.save(tmp_path / "second" / "keys.json", ring.rotate("kek", 2))
        third = server("second")
        await third.start()
        await third.stop()
        await first.stop()
        with pytest.raises(OtherKeys):  # it has not got the copy back
            await server("first").start()
        await listener.close()

    asyncio.run(main())


def test_a_key_of_this_server_alone_is_not_given_up_for_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both data directories were rotated, and the file of the first is copied over that of the second."""
    monkeypatch.setattr(housekeeping, "KEYS_S", 0.01)
    files = {name: tmp_path / name / "keys.json" for name in ("first", "second")}

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0)

    async def noted(server: Server, key: keys.Key) -> None:
        async with asyncio.timeout(20):
            while key.id not in await server.store.noted_keys():
                await asyncio.sleep(0)

    async def main() -> None:
        first, second = (
            Server(
                load(
                    {
                        "data": tmp_path / name,
                        "store": f"sqlite:///{tmp_path}/shared.db",
                        "flows": SMALL,
                        "smsc": ["smpp://user:password@127.0.0.1:1"],
                    }
                )
            )
            for name in files
        )
        await first.start()
        keys.save(load_or_create(tmp_path / "second", 1).path, first.keys.ring)
        await second.start()
        ours = keys.change(files["first"], lambda ring: ring.rotate("kek", 2)).current("kek")
        await noted(first, ours)
        mine = keys.change(files["second"], lambda ring: ring.rotate("kek", 3)).current("kek")
        await until(lambda: second.keys.current("kek") == mine and bool(second._housekeeping.other_keys))
        told = f"copy nothing over {files['second']}, for they never had its {mine.id}, "
        assert told in second._housekeeping.other_keys
        with capture_logs() as logs:
            keys.save(files["second"], keys.load(files["first"]))
            await until(lambda: any(line["event"].startswith("keys not taken up") for line in logs))
        assert second.keys.current("kek") == mine
        # What the error says: both in one file, at both.
        in_use = agreement.in_use(first.keys.ring, await first.store.noted_keys())
        both = joining.joined(second.keys.ring, first.keys.ring, in_use)
        for file in files.values():
            keys.save(file, both)
        await until(lambda: not second._housekeeping.other_keys)
        assert first.keys.get(mine.id) is not None
        assert second.keys.current("kek") == ours
        await noted(first, mine)
        await first.stop()
        await second.stop()

    asyncio.run(main())


def test_a_store_that_nobody_named_is_not_begun_beside_the_one_that_servers_use(tmp_path: Path) -> None:
    async def main(store: str) -> None:
        def server(**options: str) -> Server:
            smsc = ["smpp://user:password@127.0.0.1:1"]
            return Server(load({"data": tmp_path, "flows": SMALL, "smsc": smsc, **options}))

        first = server(store=store)
        await first.start()
        await first.stop()
        with pytest.raises(SettingsError, match=f"use another than .*: add --store '{store}'"):
            await server().start()
        assert not (tmp_path / "ussd-server.db").exists()
        meant = server(store=f"sqlite:///{tmp_path}/ussd-server.db")
        await meant.start()
        await meant.stop()
        again = server()
        await again.start()
        await again.stop()

    with redis_servers.running() as redis:
        asyncio.run(main(redis.url))


def test_a_server_that_starts_on_its_store_without_the_id_gives_it_back(tmp_path: Path) -> None:
    async def main(redis: redis_servers.RedisServer) -> None:
        ids = set()
        for _ in range(2):
            server = Server(
                load({"data": tmp_path, "store": redis.url, "flows": SMALL, "smsc": ["smpp://u:p@127.0.0.1:1"]})
            )
            await server.start()
            ids.add(await server.store.identity())
            await server.stop()
            with redis.client() as client:
                assert client.hdel("ussd:{ussd}:meta", "id") == 1
        assert len(ids) == 1

    with redis_servers.running() as redis:
        asyncio.run(main(redis))


def test_servers_are_not_ready_on_a_redis_that_came_back_empty_until_its_data_is_back(tmp_path: Path) -> None:
    async def store_is(server: Server, well: bool) -> str:
        async with asyncio.timeout(20):
            while ((reason := (await server.readiness()).needed["store"]) == "") is not well:
                pass
        return reason

    async def main(redis: redis_servers.RedisServer) -> None:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)
        smsc = [f"smpp://user:password@127.0.0.1:{listener.port}"]
        servers = [Server(load({"data": tmp_path, "store": redis.url, "flows": SMALL, "smsc": smsc})) for _ in range(3)]
        *servers, restarted = servers
        with capture_logs() as logs:
            for server in servers:
                await server.start()
        assert "the store is not the one of the last start" not in [line["event"] for line in logs]
        with redis.client() as client:
            client.save()
        snapshot, redis.options = redis.options, redis_servers.DURABLE
        redis.kill()
        await elsewhere(redis.start)
        for server in servers:
            assert "the store lost its data, or is another one" in await store_is(server, False)
        with redis.client() as client:
            assert client.dbsize() == 0
        with capture_logs() as logs:
            await restarted.start()
        assert "the store is not the one of the last start" in [line["event"] for line in logs]
        assert "the store lost its data, or is another one" in await store_is(servers[0], False)
        await restarted.stop()
        redis.kill()
        redis.options = snapshot
        await elsewhere(redis.start)
        for server in servers:
            await store_is(server, True)
            await server.stop()
        await listener.close()

    with redis_servers.running("--appendonly", "no") as redis:
        asyncio.run(main(redis))


def test_a_server_whose_keys_others_have_replaced_says_so_until_it_has_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells it: it sees what the others have the store remember, and is not ready meanwhile."""
    monkeypatch.setattr(housekeeping, "KEYS_S", 0.01)

    async def until_ready(server: Server, ready: bool) -> str:
        async with asyncio.timeout(20):
            while ((reason := (await server.readiness()).needed["keys"]) == "") is not ready:
                pass
        return reason

    async def main(store: str) -> None:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)
        ring = load_or_create(tmp_path / "first", 1).ring
        keys.make_directory(tmp_path / "second")
        keys.save(tmp_path / "second" / "keys.json", ring)

        def server(name: str) -> Server:
            smsc = f"smpp://user:password@127.0.0.1:{listener.port}"
            return Server(load({"data": tmp_path / name, "store": store, "flows": SMALL, "smsc": [smsc]}))

        first, second = server("first"), server("second")
        await first.start()
        await second.start()
        assert (await second.readiness()).needed["keys"] == ""
        rotated = keys.change(tmp_path / "first" / "keys.json", lambda ring: ring.rotate("kek", 2))
        reason = await until_ready(second, False)
        lacks = rotated.current("kek").id
        assert f"its servers have other keys than {tmp_path}/second/keys.json, which lacks {lacks}: bring" in reason
        assert (await first.readiness()).needed["keys"] == ""
        keys.save(tmp_path / "second" / "keys.json", rotated)
        await until_ready(second, True)
        assert second.keys.current("kek") == rotated.current("kek")
        await second.stop()
        await first.stop()
        await listener.close()

    with redis_servers.running() as redis:
        asyncio.run(main(redis.url))


def test_a_server_whose_clock_is_not_the_stores_says_so_and_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "wall_clock", lambda: wall_clock() + 60_000)

    async def main(store: str) -> None:
        server = Server(load({"data": tmp_path, "store": store, "flows": SMALL}))
        with capture_logs() as logs:
            await server.start()
        readiness = await server.readiness()
        assert readiness.ready
        assert "s ahead of the store's: see to NTP" in readiness.reasons["clock"]
        assert server.metrics.clock_offset == pytest.approx(60, abs=5)
        assert [line["store"] for line in logs if line["event"] == "clock differs from the store's"] == [store]
        await server.stop()

    with redis_servers.running() as redis:
        asyncio.run(main(redis.url))


def test_a_server_keeps_its_good_keys_where_the_file_has_become_that_of_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was moved away and made anew, the mistake of a bad night. What the servers have left is no such thing."""
    monkeypatch.setattr(housekeeping, "KEYS_S", 0.01)

    async def until(server: Server, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                await server.readiness()

    async def main() -> None:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)
        smsc = [f"smpp://user:password@127.0.0.1:{listener.port}"]
        server = Server(load({"data": tmp_path, "flows": SMALL, "smsc": smsc}))
        with capture_logs() as logs:
            await server.start()
            good = server.keys.ring
            (tmp_path / "keys.json").unlink()
            strange = load_or_create(tmp_path, 1).ring
            lacks = f"keys.json lacks {', '.join(key.id for key in good.keys)}, in use here: bring back"
            await until(server, lambda: any(lacks in line.get("cause", "") for line in logs))
            assert server.keys.ring == good
            assert server.keys.get(strange.current("kek").id) is None
            assert (await server.readiness()).needed["keys"] == ""
            # All keys replaced and the old ones retired at once, as where they were stolen.
            after = good.rotate("kek", 2).retire(good.current("kek").id)
            assert await server.store.note_keys(await server.store.noted_keys(), note(after))
            keys.save(tmp_path / "keys.json", after)
            await until(server, lambda: server.keys.ring == after)
        assert "the key file can be used again" in [line["event"] for line in logs]
        await server.stop()
        await listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_books_of_an_embedded_operator_that_others_may_lack_are_told(kind: str, tmp_path: Path) -> None:
    async def start(store: str) -> list[str]:
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), SlowSmsc().on_event)
        smsc = f"smpp://user:password@127.0.0.1:{listener.port}"
        server = Server(load({"data": tmp_path, "store": store, "flows": SMALL, "smsc": [smsc]}))
        with capture_logs() as logs:
            await server.start()
        await server.stop()
        await listener.close()
        return [str(line.get("mend")) for line in logs if line.get("books") == str(tmp_path / "operator.db")]

    if kind == "sqlite":
        assert asyncio.run(start(f"sqlite:///{tmp_path}/store.db")) == []
        return
    with redis_servers.running() as redis:
        assert asyncio.run(start(redis.url)) == [app.ONE_BOOK]
