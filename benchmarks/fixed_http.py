"""A web page that always says the same: the service behind Kannel, made as cheap as one can be.

It looks for the end of each request's head and writes octets that were made beforehand; it parses nothing, so that of
what is measured with it nearly all is Kannel's own work.
"""

import argparse
import asyncio
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"


class FixedPage(asyncio.Protocol):
    """Answers every GET of a connection with the same page, and keeps the connection."""

    def __init__(self, page: bytes) -> None:
        self._page = page
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer by."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come whole."""
        data = self._rest + data if self._rest else data
        whole = data.count(HEAD_END)
        self._rest = data[data.rindex(HEAD_END) + len(HEAD_END) :] if whole else data
        if whole:
            self._transport.write(self._page * whole)


def page(text: str) -> bytes:
    """Return the response to every request: the text, which Kannel is to send in UCS-2."""
    body = text.encode("utf-8")
    head = (
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain; charset=UTF-8",
        "X-Kannel-Coding: 2",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode("ascii") + HEAD_END + body


async def _serve(text: str) -> None:
    made = page(text)
    server = await asyncio.get_running_loop().create_server(lambda: FixedPage(made), "127.0.0.1", 0)
    print(f'{{"port": {server.sockets[0].getsockname()[1]}}}', flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed; the first line of standard output says where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", help="what the page says")
    uvloop.run(_serve(parser.parse_args().text))


if __name__ == "__main__":
    main()
