"""Kannel as its makers tune it for speed: bearerbox and smsbox on one core, a fixed page behind them.

Nothing is kept on a disk unless that is asked for, nothing is logged but errors, no receipts are asked for, and every
limit on what may be under way at once is far above what is offered.
"""

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import GENERATOR_CPU, SERVER_CPU, BenchmarkFailed, Process

START_S = 30
UNDER_WAY = 1000
"""SMS under way at once in each of Kannel's queues; as shipped it has 10 submits, 100 SMS at smsbox, 512 requests."""


@dataclass(frozen=True)
class Kannel:
    """The three processes of one Kannel and its service."""

    bearerbox: Process
    smsbox: Process
    page: Process


def missing() -> str:
    """Return "" where Kannel can run, else what to install."""
    absent = [command for command in ("bearerbox", "smsbox") if shutil.which(command) is None]
    return (
        f"{', '.join(absent)} not found; install the Debian package kannel, or run make bench-peers" if absent else ""
    )


@contextmanager
def kannel(smpp: int, text: str, directory: Path, logs: Path, keeps: bool = False) -> Iterator[Kannel]:
    """Run Kannel against the generator's port, answering every SMS with `text`; first what the others connect to.

    The page shares the generator's core, so that Kannel's own two processes have theirs to themselves. With `keeps` it
    keeps each SMS, in both directions, as a file of its spool until it is done, so that a kill loses none.
    """
    with ExitStack() as stack:
        page = stack.enter_context(
            Process([sys.executable, "-m", "benchmarks.fixed_http", text], GENERATOR_CPU, logs / "kannel-page.log")
        )
        boxes = _free_port()
        settings = directory / "kannel.conf"
        kept = ""
        if keeps:
            (spool := directory / "spool").mkdir()
            kept = f"store-type = spool\nstore-location = {spool}\n"
        settings.write_text(_settings(smpp, boxes, page.hear()["port"], kept), encoding="ascii")
        bearerbox = stack.enter_context(_box("bearerbox", settings, logs))
        _until_it_listens(bearerbox, boxes)
        yield Kannel(bearerbox, stack.enter_context(_box("smsbox", settings, logs)), page)


def _box(name: str, settings: Path, logs: Path) -> Process:
    return Process([name, "--verbosity", "3", str(settings)], SERVER_CPU, logs / f"{name}.log")


def _until_it_listens(bearerbox: Process, port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not bearerbox.ended():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise BenchmarkFailed(f"bearerbox does not listen:\n{bearerbox.log_tail()}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _settings(smpp: int, boxes: int, page: int, kept: str) -> str:
    return f"""\
group = core
admin-port = {_free_port()}
admin-interface = 127.0.0.1
admin-password = bench
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
dlr-storage = internal
log-level = 3
smsbox-max-pending = {UNDER_WAY}
sms-incoming-queue-limit = -1
sms-outgoing-queue-limit = -1
sms-combine-concatenated-mo = false
{kept}
group = smsc
smsc = smpp
smsc-id = bench
host = 127.0.0.1
port = {smpp}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = ""
address-range = ""
max-pending-submits = {UNDER_WAY}
enquire-link-interval = 30

group = smsbox
bearerbox-host = 127.0.0.1
log-level = 3
max-pending-requests = {UNDER_WAY}

group = sms-service
keyword = default
get-url = "http://127.0.0.1:{page}/?from=%p&to=%P&text=%b"
concatenation = true
max-messages = 10
accept-x-kannel-headers = true
"""
