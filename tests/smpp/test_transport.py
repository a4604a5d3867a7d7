"""Links over loopback, on both event loops: messages both ways, and orderly ends."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from smpp.constants import CommandId
from smpp.errors import CloseReason
from smpp.events import Bound, Closed, Delivered, Event, Expired, Lost, Responded
from smpp.framing import Framer
from smpp.link import Link, LinkSettings
from smpp.pdu import Bare, BindResp, Message, MessageResp, acknowledge_and_submit, decode, encode
from smpp.states import Role
from smpp.transport import SLICE_OCTETS, Connection, connect
from tests.smpp.loopback import BIND, DELIVER, LIMIT_SECONDS, SUBMIT, Owner, Run, bound, smsc, welcoming


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
            link.sendall(encode(BindResp(CommandId.BIND_TRANSCEIVER_RESP, 1)) + encode(DELIVER))
            assert asleep.wait(LIMIT_SECONDS)
            link.sendall(encode(MessageResp(CommandId.SUBMIT_SM_RESP, 2, 0, "1")))
            answered.set()
            while link.recv(4096):
                pass

    def sleeping(connection: Connection, event: Event) -> None:
        if isinstance(event, Delivered):
            # What is sent here cannot time out before it is slept, whatever else the machine does.
            assert connection.send(SUBMIT, "submit")
            asleep.set()
            assert answered.wait(LIMIT_SECONDS)
            time.sleep(0.06)  # longer than a response may take
            connection.respond(event.pdu)

    async def scenario() -> None:
        ours = Owner(sleeping)
        link = Link(Role.ESME, LinkSettings(response_ms=50))
        connection = await connect("127.0.0.1", listener.getsockname()[1], link, ours)
        connection.bind(BIND)
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
