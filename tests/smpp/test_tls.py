"""Links over TLS, on both event loops: what goes over the wire, and certificates and peers that do not hold."""

import asyncio
import ssl

import pytest
import trustme

from smpp.binding import Backoff, Binding, Retrying
from smpp.errors import CloseReason
from smpp.events import BindRequested, Bound, Closed, Responded
from smpp.link import Link
from smpp.pdu import encode
from smpp.states import Role
from smpp.transport import Listener, listen
from tests.smpp.loopback import BIND, DELIVER, SUBMIT, Owner, Run, welcoming

AT_ONCE = Backoff(first_ms=0, most_ms=60_000, refused_ms=0)
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
