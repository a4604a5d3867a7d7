"""Ports for servers that are told where to listen, and may end and come back there.

The system gives those from 32768 on to every connection and to whoever asks for any: one that was free a moment ago
may be somebody's by the time it is wanted. A proxy that was given the port of the server behind it called itself
until there were no more files to open. So these are below, and tests that run beside each other have their own.
"""

import os
import socket
from collections.abc import Iterator

LOWEST, HIGHEST = 10_000, 32_768
RANGES = 8
"""How many processes of one test run have a range of their own; a ninth shares the first one's."""


def _walk() -> Iterator[int]:
    """Go round the range of this process; where to begin differs between runs at the same time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
    length = (HIGHEST - LOWEST) // RANGES
    at = os.getpid()
    while True:
        at += 1
        yield LOWEST + worker * length + at % length


_next = _walk()


def free_port() -> int:
    """Return a loopback port that nobody listens on; it is not given again soon."""
    for port in _next:
        with socket.socket() as probe:
            # As servers bind: the last connections of one that ended there are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")


def free_ports(number: int) -> list[int]:
    """Return so many, all different."""
    return [free_port() for _ in range(number)]
