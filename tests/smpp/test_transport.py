"""Links over loopback, on both event loops: messages both ways, binds that come back, and orderly ends."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import trustme
import uvloop

from smpp.constants import CommandId, Status
from smpp.errors import CloseReason
from smpp.events import BindRefused, BindRequested, Bound, Closed, Delivered, Event, Expired, Lost, Responded
from smpp.framing import Framer
from smpp.link import Link, LinkSettings, Role
from smpp.pdu import (
    Bare,
    Bind,
    BindResp,
    Message,
    MessageResp,
    Outbind,
    Password,
    acknowledge_and_submit,
    decode,
    encode,
)
from smpp.transport import SLICE_OCTETS, Awaited, Backoff, Binding, Connection, Listener, Retrying, connect, listen

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

BIND = Bind(system_id="us", password=Password("secret"))
SUBMIT = Message(CommandId.SUBMIT_SM, destination_addr="79101234567", short_message=b"hello")
DELIVER = Message(CommandId.DELIVER_SM, source_addr="79101234567", short_message=b"hello")
AT_ONCE = Backoff(first_ms=0, most_ms=60_000, refused_ms=0)
LIMIT_SECONDS = 60


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    def run_to_end(work: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(work, LIMIT_SECONDS))

    return run_to_end


class Owner:
    """Keeps the events of its connections, and lets a test wait for one of a kind."""

    def __init__(self, answers: Callable[[Connection, Event], None] = lambda connection, event: None) -> None:
        self.events: list[Event] = []
        self.connections: list[Connection] = []
        self._answers = answers
        self._came = asyncio.Event()

    def __call__(self, connection: Connection, event: Event) -> None:
        self.events.append(event)
        self.connections.append(connection)
        self._came.set()
        self._answers(connection, event)

    async def wait_for(self, kind: type, times: int = 1) -> None:
        while sum(isinstance(event, kind) for event in self.events) < times:
            self._came.clear()
            await self._came.wait()


def welcoming(connection: Connection, event: Event) -> None:
    """Grant every bind and take every message."""
    if isinstance(event, BindRequested):
        connection.accept(event.pdu, "SMSC")
    elif isinstance(event, Delivered):
        connection.respond(event.pdu, message_id="1")


async def smsc(owner: Owner, settings: LinkSettings | None = None) -> Listener:
    return await listen("127.0.0.1", 0, lambda: Link(Role.SMSC, settings or LinkSettings()), owner)


async def bound(listener: Listener, owner: Owner) -> Connection:
    connection = await connect("127.0.0.1", listener.port, Link(Role.ESME), owner)
    connection.bind(BIND)
    await owner.wait_for(Bound)
    return connection


def test_messages_go_both_ways_and_an_unbind_ends_both_sides(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner(welcoming)
        listener = await smsc(theirs)
        connection = await bound(listener, ours)
        assert connection.peer == f"127.0.0.1:{listener.port}"

        assert connection.send(SUBMIT, "submit")
        assert theirs.connections[0].send(DELIVER, "deliver")
        await ours.wait_for(Responded)
        await theirs.wait_for(Responded)
        (outcome,) = (event for event in ours.events if isinstance(event, Responded))
        assert outcome == Responded("submit", 0, MessageResp(CommandId.SUBMIT_SM_RESP, 2, 0, "1"))
        assert sum(isinstance(event, Delivered) for event in ours.events) == 1

        connection.unbind(drain_ms=1_000)
        await connection.wait_closed()
        await theirs.connections[0].wait_closed()
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert theirs.events[-1] == Closed(CloseReason.UNBOUND_BY_PEER)
        assert listener.connections == set()
        assert not connection.send(SUBMIT, "late")
        await listener.close()

    run(scenario())


def test_a_burst_beyond_window_and_socket_buffers_arrives_whole_and_in_order(run: Run[None]) -> None:
    count = 3_000

    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        listener = await smsc(theirs)
        connection = await bound(listener, ours)
        for number in range(count):
            text = struct.pack(">I", number) + bytes(200)
            assert connection.send(Message(CommandId.SUBMIT_SM, short_message=text), number)
        await ours.wait_for(Responded, count)
        assert [event.tag for event in ours.events if isinstance(event, Responded)] == list(range(count))
        arrived = [event.pdu.short_message[:4] for event in theirs.events if isinstance(event, Delivered)]
        assert arrived == [struct.pack(">I", number) for number in range(count)]
        await listener.close()
        await connection.wait_closed()

    run(scenario())


def test_while_the_other_side_does_not_read_we_do_not_either(run: Run[None]) -> None:
    """A peer sends requests and reads no answers: what we hold for it stays bounded, and it gets all when it reads."""
    count = 400_000  # answers of 6.4 MB, more than the system's socket buffers hold
    stream = b"".join(encode(Bare(CommandId.ENQUIRE_LINK, number)) for number in range(1, count + 1))
    answers_octets = 16 * count

    async def scenario() -> None:
        theirs = Owner(welcoming)
        listener = await smsc(theirs, LinkSettings(bind_ms=1000 * LIMIT_SECONDS))  # a busy machine takes its time
        loop = asyncio.get_running_loop()
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", listener.port))
            writing = asyncio.create_task(loop.sock_sendall(peer, stream))
            while not any(connection._paused for connection in listener.connections):
                await asyncio.sleep(0)
            (connection,) = listener.connections
            assert connection._transport is not None
            assert connection._transport.get_write_buffer_size() < 1_000_000
            read = bytearray()
            while len(read) < answers_octets:
                read += await loop.sock_recv(peer, 65_536)
            await writing
            assert bytes(read[:16]) == encode(Bare(CommandId.ENQUIRE_LINK_RESP, 1))
            assert bytes(read[-16:]) == encode(Bare(CommandId.ENQUIRE_LINK_RESP, count))
        await listener.close()

    run(scenario())


def test_who_rests_reads_nothing_until_it_is_over(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner(welcoming)
        listener = await smsc(theirs)
        connection = await bound(listener, ours)
        reader = theirs.connections[0]
        reader.rest(60_000)
        assert connection.send(SUBMIT, 1)
        reader.resume_writing()  # what was to be written has gone: it does not end the rest
        assert reader.send(DELIVER, 2)
        await ours.wait_for(Delivered)  # it writes all the same
        assert not any(isinstance(event, Delivered) for event in theirs.events)
        reader.rest(1)  # another one takes its place
        await ours.wait_for(Responded)
        await theirs.wait_for(Responded)
        connection.close()
        await reader.wait_closed()
        reader.rest(1)  # nothing is there any more
        await listener.close()

    run(scenario())


def test_what_one_input_brings_about_is_one_write(run: Run[None]) -> None:
    async def scenario() -> None:
        def both(connection: Connection, event: Event) -> None:
            if isinstance(event, Delivered):
                connection.respond(event.pdu)
                connection.send(SUBMIT, "answer", urgent=True)

        transport = _Transport()
        connection = Connection(Link(Role.ESME), Owner(both))
        connection.connection_made(transport)
        connection.bind(BIND)
        await asyncio.sleep(0)
        bind = decode(transport.writes.pop())
        connection.data_received(struct.pack(">IIII", 17, bind.command | 0x80000000, 0, bind.sequence) + b"\0")
        connection.data_received(encode(DELIVER) * 3)
        assert len(transport.writes) == 1
        connection.send(SUBMIT, 1)
        connection.send(SUBMIT, 2)
        await asyncio.sleep(0)
        assert len(transport.writes) == 2

        connection.pause_writing()
        assert transport.reading is False
        connection.send(SUBMIT, 3)
        await asyncio.sleep(0)
        assert len(transport.writes) == 2
        connection.resume_writing()
        assert transport.reading is True
        assert len(transport.writes) == 3
        connection.connection_lost(None)

    run(scenario())


@pytest.mark.parametrize(
    ("then", "sent"),
    [
        (lambda connection: None, [None]),
        (lambda connection: connection.data_received(encode(Bare(CommandId.UNBIND, 9))), [None]),
        (lambda connection: connection.unbind(1_000), [None]),
        (lambda connection: connection.pause_writing(), [None]),
        (lambda connection: connection.connection_lost(None), [True, True]),
        (lambda connection: connection.link.unbind(0, 0), [False, False]),
    ],
    ids=["nothing", "an unbind comes", "we unbind", "nobody reads", "the connection is lost", "no message may leave"],
)
def test_answers_given_within_a_turn_of_the_loop_leave_in_one_write_whatever_comes_between(
    run: Run[None], then: Callable[[Connection], None], sent: list[bool]
) -> None:
    async def scenario() -> None:
        transport, owner = _Transport(), Owner()
        connection = Connection(Link(Role.ESME), owner)
        connection.connection_made(transport)
        connection.bind(BIND)
        await asyncio.sleep(0)
        bind = decode(transport.writes.pop())
        connection.data_received(struct.pack(">IIII", 17, bind.command | 0x80000000, 0, bind.sequence) + b"\0")
        assert connection.answer(5, b"one", "first")
        assert connection.answer(6, b"two", "second")
        then(connection)
        await asyncio.sleep(0)
        lost = [event for event in owner.events if isinstance(event, Lost)]
        if sent == [None]:
            connection.resume_writing()
            (octets,) = transport.writes
            answers = acknowledge_and_submit(5, b"one", 2) + acknowledge_and_submit(6, b"two", 3)
            assert octets.startswith(answers)
            assert lost == []
            responses = encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2)) + encode(MessageResp(0x80000004, 3))
            connection.data_received(responses)
            assert owner.events[1:3] == ["first", "second"]
            connection.connection_lost(None)
        else:
            assert lost == [Lost("first", sent[0]), Lost("second", sent[1])]
        if sent != [False, False]:
            assert not connection.answer(7, b"three", "third"), "it has closed"
            await asyncio.sleep(0)
            assert isinstance(owner.events[-1], Closed)

    run(scenario())


def test_a_flood_is_answered_piece_by_piece_and_whole(run: Run[None]) -> None:
    async def scenario() -> None:
        transport = _Transport()
        connection = Connection(Link(Role.ESME), Owner(welcoming))
        connection.connection_made(transport)
        connection.bind(BIND)
        await asyncio.sleep(0)
        bind = decode(transport.writes.pop())
        connection.data_received(struct.pack(">IIII", 17, bind.command | 0x80000000, 0, bind.sequence) + b"\0")
        amount = 3 * SLICE_OCTETS // len(encode(DELIVER))
        connection.data_received(b"".join(encode(DELIVER, sequence) for sequence in range(1, amount + 1)))
        assert len(transport.writes) == 3, "the other side may take the first answers while we make the next"
        octets = b"".join(transport.writes)
        assert [pdu.sequence for pdu in map(decode, Framer(1 << 20).feed(octets))] == [*range(1, amount + 1)]
        connection.connection_lost(None)

    run(scenario())


def test_all_that_was_read_at_once_is_told_before_the_owner_goes_on_with_it(run: Run[None]) -> None:
    async def scenario() -> None:
        heard: list[Message] = []
        answered: list[int] = []

        def take(connection: Connection, events: list[Event]) -> None:
            for event in events:
                if isinstance(event, Delivered):
                    heard.append(event.pdu)
                else:
                    connection.tell(event)

        def answer_all() -> None:
            answered.append(len(heard))
            while heard:
                connection.respond(heard.pop())

        transport, owner = _Transport(), Owner()
        connection = Connection(Link(Role.ESME), owner)
        connection.on_events = take
        connection.on_read = answer_all
        connection.connection_made(transport)
        connection.bind(BIND)
        await asyncio.sleep(0)
        bind = decode(transport.writes.pop())
        connection.data_received(struct.pack(">IIII", 17, bind.command | 0x80000000, 0, bind.sequence) + b"\0")
        amount = 2 * SLICE_OCTETS // len(encode(DELIVER))
        connection.data_received(encode(DELIVER) * amount)
        assert answered == [0, amount]
        assert len(transport.writes) == 1
        assert [type(event) for event in owner.events] == [Bound], "what is taken goes to nobody else"
        connection.connection_lost(None)

    run(scenario())


class _Transport(asyncio.Transport):
    """Counts writes. A socket cannot tell how many there were."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Have the test say that the connection is gone."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_a_broken_handler_is_reported_and_the_link_lives(run: Run[None]) -> None:
    async def scenario() -> None:
        def breaks(connection: Connection, event: Event) -> None:
            welcoming(connection, event)
            if isinstance(event, Delivered):
                raise RuntimeError("broken")

        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        theirs, ours = Owner(breaks), Owner()
        listener = await smsc(theirs)
        connection = await bound(listener, ours)
        connection.send(SUBMIT, 1)
        connection.send(SUBMIT, 2)
        await ours.wait_for(Responded, 2)
        assert [str(report["exception"]) for report in reports] == ["broken", "broken"]
        await listener.close()
        await connection.wait_closed()

    run(scenario())


def test_an_answer_that_lay_there_while_the_process_stood_still_counts(run: Run[None]) -> None:
    """A handler that takes too long, or a machine that was asleep, must not have messages sent twice."""
    asleep, answered = threading.Event(), threading.Event()

    def peer(listener: socket.socket) -> None:
        with listener.accept()[0] as link:
            link.settimeout(LIMIT_SECONDS)
            link.recv(4096)
            link.sendall(encode(BindResp(CommandId.BIND_TRANSCEIVER_RESP, 1)))
            link.recv(4096)
            link.sendall(encode(DELIVER))
            assert asleep.wait(LIMIT_SECONDS)
            link.sendall(encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2, 0, "1")))
            answered.set()
            while link.recv(4096):
                pass

    def sleeping(connection: Connection, event: Event) -> None:
        if isinstance(event, Delivered):
            asleep.set()
            assert answered.wait(LIMIT_SECONDS)
            time.sleep(0.06)  # longer than a response may take
            connection.respond(event.pdu)

    async def scenario() -> None:
        ours = Owner(sleeping)
        link = Link(Role.ESME, LinkSettings(response_ms=50))
        connection = await connect("127.0.0.1", listener.getsockname()[1], link, ours)
        connection.bind(BIND)
        await ours.wait_for(Bound)
        assert connection.send(SUBMIT, "submit")
        while not any(isinstance(event, Expired | Responded) for event in ours.events):
            await asyncio.sleep(0.001)
        assert [event.tag for event in ours.events if isinstance(event, Responded)] == ["submit"]
        connection.close()
        await connection.wait_closed()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = threading.Thread(target=peer, args=(listener,), daemon=True)
        other.start()
        run(scenario())
        other.join(LIMIT_SECONDS)
        assert not other.is_alive()


def test_a_peer_that_never_binds_is_closed_by_the_clock(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs = Owner()
        listener = await smsc(theirs, LinkSettings(bind_ms=1))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.read() == b""
        assert theirs.events == [Closed(CloseReason.BIND_TIMEOUT)]
        writer.close()
        await writer.wait_closed()
        await listener.close()

    run(scenario())


# Binding ----------------------------------------------------------------------------------------------------------


def test_a_lost_bind_comes_back_and_stays_closed_after_stop(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.5, backoff=AT_ONCE)
        assert not binding.bound
        assert not binding.send(SUBMIT, "early")
        binding.start()
        await ours.wait_for(Bound)
        assert binding.bound
        theirs.connections[0].close()
        await ours.wait_for(Bound, 2)
        assert retries == [Retrying(CloseReason.CONNECTION_LOST.value, 0, 0, False)]
        assert binding.send(SUBMIT, "again")
        await ours.wait_for(Responded)
        await binding.stop()
        assert not binding.bound
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert len(retries) == 1
        await listener.close()

    run(scenario())


async def calls(port: int, outbind: Outbind) -> Owner:
    """Let the SMSC call and ask for a bind."""
    smsc = Owner(welcoming)
    connection = await connect("127.0.0.1", port, Link(Role.SMSC), smsc)
    assert connection._transport is not None
    connection._transport.write(encode(outbind))
    return smsc


def test_an_smsc_that_calls_with_the_right_outbind_gets_our_bind_and_no_other_does(run: Run[None]) -> None:
    async def scenario() -> None:
        right, wrong = (Outbind(system_id="SMSC", password=Password(word)) for word in ("theirs", "guessed"))
        ours = Owner()
        retries: list[Retrying] = []
        awaited = Awaited("127.0.0.1", 0, BIND, ours, retries.append, lambda: 0.5, admit=right.__eq__)
        awaited.start()
        while not awaited.port:
            await asyncio.sleep(0)
        assert not awaited.send(SUBMIT, "early")
        stranger = await calls(awaited.port, wrong)
        await stranger.wait_for(Closed)
        assert not any(isinstance(event, BindRequested) for event in stranger.events)
        smsc = await calls(awaited.port, right)
        await ours.wait_for(Bound)
        second = await calls(awaited.port, right)
        await second.wait_for(Closed)
        assert awaited.send(SUBMIT, "one")
        await ours.wait_for(Responded)
        smsc.connections[0].close()
        await ours.wait_for(Closed)
        assert not awaited.bound
        await calls(awaited.port, right)
        await ours.wait_for(Bound, 2)
        await awaited.stop()
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert awaited.port == 0
        assert [(one.reason.partition(" ")[0], one.loud) for one in retries] == [
            ("waits", False),
            ("an", True),
            ("connection", False),
        ]

    run(scenario())


def test_stop_waits_for_what_is_under_way(run: Run[None]) -> None:
    async def scenario() -> None:
        def slow(connection: Connection, event: Event) -> None:
            if isinstance(event, Delivered):
                asyncio.get_running_loop().call_soon(connection.respond, event.pdu)
            else:
                welcoming(connection, event)

        ours = Owner()
        listener = await smsc(Owner(slow))
        binding = Binding("127.0.0.1", listener.port, BIND, ours, lambda retrying: None, lambda: 0.0)
        binding.start()
        await ours.wait_for(Bound)
        for number in range(25):
            binding.send(SUBMIT, number)
        await binding.stop()
        assert [event.tag for event in ours.events if isinstance(event, Responded)] == list(range(25))
        assert not [event for event in ours.events if isinstance(event, Lost)]
        await listener.close()

    run(scenario())


@pytest.mark.parametrize(
    ("status", "loud"),
    [
        (Status.RBINDFAIL, True),
        (Status.RINVPASWD, True),
        (Status.RINVSYSID, True),
        (Status.RINVSYSTYP, True),
        (Status.RALYBND, False),
        (Status.RSYSERR, False),
        (0x4FF, False),
    ],
)
def test_a_refusal_is_tried_again_and_is_loud_where_it_needs_a_person(run: Run[None], status: int, loud: bool) -> None:
    async def scenario() -> None:
        def refusing(connection: Connection, event: Event) -> None:
            if isinstance(event, BindRequested):
                connection.refuse(event.pdu, status)

        ours = Owner()
        retries: list[Retrying] = []
        listener = await smsc(Owner(refusing))
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.0, backoff=AT_ONCE)
        binding.start()
        await ours.wait_for(BindRefused, 2)
        await binding.stop()
        assert retries[0] == Retrying(CloseReason.BIND_REFUSED.value, status, 0, loud)
        await listener.close()

    run(scenario())


def test_an_unbind_of_the_smscs_is_a_reason_to_bind_again_after_a_while(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        backoff = Backoff(first_ms=20)
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.5, backoff=backoff)
        binding.start()
        await theirs.wait_for(Bound)
        theirs.connections[-1].unbind()
        await theirs.wait_for(Bound, 2)
        await binding.stop()
        await listener.close()
        assert retries == [Retrying(CloseReason.UNBOUND_BY_PEER.value, 0, 10, False)]

    run(scenario())


def test_a_bind_that_was_given_up_for_want_of_messages_is_no_failure(run: Run[None]) -> None:
    """However often it happens, the next bind comes as soon as after the first time."""

    async def scenario() -> None:
        theirs = Owner(welcoming)
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        settings, backoff = LinkSettings(inactivity_ms=10), Backoff(first_ms=20)
        binding = Binding(
            "127.0.0.1", listener.port, BIND, Owner(), retries.append, lambda: 0.5, settings, backoff=backoff
        )
        binding.start()
        await theirs.wait_for(Bound, 4)
        await binding.stop()
        await listener.close()
        assert {(retry.reason, retry.delay_ms) for retry in retries} == {(CloseReason.INACTIVE.value, 10)}

    run(scenario())


def test_nobody_listening_is_a_reason_to_try_again_and_stop_ends_the_wait(run: Run[None]) -> None:
    async def scenario() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            told = asyncio.Event()
            retries: list[Retrying] = []

            def on_retry(retrying: Retrying) -> None:
                retries.append(retrying)
                told.set()

            port = unused.getsockname()[1]
            backoff = Backoff(first_ms=60_000)
            binding = Binding("127.0.0.1", port, BIND, Owner(), on_retry, lambda: 0.9, backoff=backoff)
            binding.start()
            await told.wait()
            await binding.stop()
        assert [(retry.status, retry.delay_ms, retry.loud) for retry in retries] == [(0, 54_000, False)]
        assert retries[0].reason

    run(scenario())


@pytest.mark.parametrize(
    ("host", "server_name", "reason", "reported"),
    [
        ("smsc..example", None, "label empty or too long", 0),  # no resolver is asked for such a name
        ("127.0.0.1", "smsc.example", "server_hostname is only meaningful with ssl", 1),
    ],
)
def test_whatever_breaks_a_try_is_told_and_tried_again(
    host: str, server_name: str | None, reason: str, reported: int, run: Run[None]
) -> None:
    """What ended the task that keeps a bind would end the bind for good, and nobody would hear why."""

    async def scenario() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        retries: asyncio.Queue[Retrying] = asyncio.Queue()
        binding = Binding(
            host, 1, BIND, Owner(), retries.put_nowait, lambda: 0.0, backoff=AT_ONCE, server_name=server_name
        )
        binding.start()
        for _ in range(2):
            assert reason in (await retries.get()).reason
        await binding.stop()
        assert len(reports) >= 2 * reported
        assert all(reason in str(report["exception"]) for report in reports)

    run(scenario())


@pytest.mark.parametrize(
    ("tries", "loud", "random", "delay_ms"),
    [
        (1, False, 0.0, 0),
        (1, False, 0.5, 500),
        (2, False, 0.5, 1_000),
        (7, False, 0.5, 30_000),
        (10_000, False, 0.999, 59_940),
        (1, True, 0.0, 150_000),
        (1, True, 0.5, 225_000),
    ],
)
def test_delays_double_up_to_a_limit_with_full_jitter(tries: int, loud: bool, random: float, delay_ms: int) -> None:
    assert Backoff().delay_ms(tries, loud, random) == delay_ms


# TLS --------------------------------------------------------------------------------------------------------------

AUTHORITY = trustme.CA()


def server_side(*names: str) -> ssl.SSLContext:
    """Return what an SMSC listens with whose certificate is for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def client_side(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """Return what a client connects with that trusts this authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name, trusts nobody yet
    authority.configure_trust(context)
    return context


async def tls_smsc(owner: Owner, *names: str) -> Listener:
    return await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), owner, server_side(*names))


def test_over_tls_messages_go_both_ways_and_an_unbind_ends_both_sides(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner(welcoming)
        listener = await tls_smsc(theirs, "127.0.0.1")
        binding = Binding("127.0.0.1", listener.port, BIND, ours, lambda retrying: None, lambda: 0.0, ssl=client_side())
        binding.start()
        await ours.wait_for(Bound)
        assert binding.send(SUBMIT, "submit")
        assert theirs.connections[0].send(DELIVER, "deliver")
        await ours.wait_for(Responded)
        await theirs.wait_for(Responded)
        await binding.stop()
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert theirs.events[-1] == Closed(CloseReason.UNBOUND_BY_PEER)
        await listener.close()
        assert listener.connections == set()

    run(scenario())


def test_tls_is_what_goes_over_the_wire(run: Run[None]) -> None:
    """Neither the password nor a PDU's header can be read on the way."""

    async def scenario() -> None:
        listener = await tls_smsc(Owner(welcoming), "127.0.0.1")
        wire = bytearray()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while octets := await reader.read(65_536):
                wire.extend(octets)
                writer.write(octets)
            writer.close()

        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", listener.port)
            await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))
            ended.set()

        ended = asyncio.Event()
        server = await asyncio.start_server(between, "127.0.0.1", 0)
        port, ours = server.sockets[0].getsockname()[1], Owner()
        binding = Binding("127.0.0.1", port, BIND, ours, lambda retrying: None, lambda: 0.0, ssl=client_side())
        binding.start()
        await ours.wait_for(Bound)
        await binding.stop()
        await ended.wait()
        server.close()
        await listener.close()
        assert wire[0] == 0x16, "not a TLS handshake"
        assert not [octets for octets in (b"us\0secret\0", b"SMSC\0", encode(BIND)[:8]) if octets in wire]

    run(scenario())


@pytest.mark.parametrize(
    ("names", "trusted", "reason"),
    [
        (("127.0.0.1",), trustme.CA(), "certificate verify failed"),
        (("127.0.0.2", "smsc.example"), AUTHORITY, "IP address mismatch"),
    ],
    ids=["an authority that is not trusted", "another host's certificate"],
)
def test_a_certificate_that_does_not_hold_is_a_reason_to_try_again(
    run: Run[None], names: tuple[str, ...], trusted: trustme.CA, reason: str
) -> None:
    """The reason says what is wrong with the certificate, no bind goes out, and the listener closes at once."""

    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        retries: asyncio.Queue[Retrying] = asyncio.Queue()
        listener = await tls_smsc(theirs, *names)
        binding = Binding(
            "127.0.0.1",
            listener.port,
            BIND,
            ours,
            retries.put_nowait,
            lambda: 0.5,
            backoff=AT_ONCE,
            ssl=client_side(trusted),
        )
        binding.start()
        for _ in range(2):
            told = await retries.get()
            assert reason in told.reason
            assert (told.status, told.delay_ms, told.loud) == (0, 0, False)
        assert not binding.bound
        await binding.stop()
        await listener.close()
        assert ours.events == []
        assert not [event for event in theirs.events if isinstance(event, BindRequested)]
        assert listener.connections == set()

    run(scenario())


@pytest.mark.parametrize("octets", [encode(BIND), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\1\0", b""])
def test_a_client_that_speaks_no_tls_does_not_keep_the_listener(run: Run[None], octets: bytes) -> None:
    """One that sends something else, half a handshake or nothing is never a connection, and close() does not wait."""

    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner(welcoming)
        listener = await tls_smsc(theirs, "127.0.0.1")
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(octets)
        await writer.drain()
        binding = Binding("127.0.0.1", listener.port, BIND, ours, lambda retrying: None, lambda: 0.0, ssl=client_side())
        binding.start()
        await ours.wait_for(Bound)  # the port still serves those who speak it
        assert len(listener.connections) == 1
        await binding.stop()
        await listener.close()
        assert listener.connections == set()
        writer.close()

    run(scenario())
