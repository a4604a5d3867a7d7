"""Over TLS requests are served and slow heads closed, and whoever speaks none gets nothing."""

import ssl
from collections.abc import Callable

import trustme

from tests.ussd_server.http.listener.served import REQUEST, Served, answer, closed

AUTHORITY = trustme.CA()


def tls() -> ssl.SSLContext:
    """Return what a listener speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_tls(serve: Callable[..., None]) -> None:
    """Requests are served, slow heads closed; whoever speaks no TLS gets nothing."""
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)

    async def story(served: Served) -> None:
        reader, writer = await served.connect(trusting)
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        served.hurry()
        slow, other = await served.connect(trusting)
        other.write(b"GET / HT")
        assert await closed(slow)
        other.close()
        plain, bare = await served.connect()
        bare.write(REQUEST % b"")
        assert b"quick" not in await plain.read()
        bare.close()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        writer.close()

    serve(story, tls=tls())


def test_a_tls_handshake_that_does_not_come(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        assert await closed(reader)
        writer.close()

    serve(story, head_s=0.05, tls=tls())
