"""What is no HTTP gets one problem that repeats nothing of it, and the connection is closed."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.ussd_server.http.listener.served import REQUEST, Served, answer
from ussd_server.terminals.problems import TYPES

SECRET = b"90417263"
UNREADABLE = {
    "no HTTP at all": b"90417263 90417263\r\n\r\n",
    "a method of small letters": b"get /90417263 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": b"GET /90417263 HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(32),
    "zeros": bytes(64),
    "no host": b"GET /90417263 HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: 90417263\r\n\r\n",
    "a target that is none": b"GET http://[90417263 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field without a colon": b"GET / HTTP/1.1\r\nHost: x\r\n90417263\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHost: x\r\n9041 7263: x\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n 90417263\r\n\r\n",
    "a zero in a value": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 90417263\x00\r\n\r\n",
    "a target that is too long": b"GET /" + SECRET * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a field that is too long": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + SECRET * 2000 + b"\r\n\r\n",
    "too many fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 90417263\r\n" * 200 + b"\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90417263x\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -90417263\r\n\r\n",
    "a length without end": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\n90417263",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks within another coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "a chunk's size that is none": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n90417263",
}


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection is closed, by its end or, where octets were left unread, by a reset."""
    said = b""
    while True:
        try:
            read = await reader.read(65536)
        except ConnectionError:
            return said
        if not read:
            return said
        said += read


@pytest.mark.parametrize("before", [b"", REQUEST % b""], ids=["first", "later"])
@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_http(sent: bytes, before: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """One problem, without a word of what was sent, and the connection is closed; no word of it in the log either."""

    async def story() -> None:
        served = Served()
        await served.listener.start()
        reader, writer = await served.connect()
        if before:
            writer.write(before)
            assert await answer(reader) == b"quick"
        writer.write(sent)
        head, _, body = (await all_of(reader)).partition(b"\r\n\r\n")
        writer.close()
        await served.listener.stop()
        status, *fields = head.decode().lower().split("\r\n")
        assert status.split()[1] == "400"
        assert {"content-type: application/problem+json", "cache-control: no-store"} <= set(fields)
        assert f"content-length: {len(body)}" in fields  # so one answer, and nothing after it
        kind = TYPES["unreadable-request"]
        assert json.loads(body) == {"type": kind.uri, "title": kind.title, "status": 400, "detail": kind.mend}
        assert SECRET not in head + body

    asyncio.run(story())
    assert caplog.records == []


@pytest.mark.parametrize("sent", [REQUEST % b"", REQUEST % b"nowhere", b"no HTTP\r\n\r\n"])
def test_no_answer_tells_versions(serve: Callable[..., None], sent: bytes) -> None:
    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "\r\nserver: ussd-server\r\n" in head
        assert "aiohttp" not in head
        writer.close()

    serve(story)


@pytest.mark.parametrize("ended", [b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n"])
def test_a_body_that_breaks_is_known_at_once(serve: Callable[..., None], ended: bytes) -> None:
    """Whoever reads it need not wait until it is too slow; and there is one answer, since no other request follows."""

    async def story(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        await served.entered.wait()
        writer.write(ended)
        head, _, body = (await all_of(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 422 ")
        assert body == b"broken"
        writer.close()

    serve(story)
