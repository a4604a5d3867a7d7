"""Kannel, the gateway of many integrators, as an ESME: `bearerbox` has the link, `smsbox` the HTTP."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.acceptance.harness import PATIENCE_S
from tests.ports import free_port

ACCOUNT, PASSWORD = "kannel", "secret"


def available() -> str:
    """Return "" where Kannel can run, else what is missing."""
    missing = [command for command in ("bearerbox", "smsbox") if shutil.which(command) is None]
    return f"{', '.join(missing)} of the Debian package kannel: not installed (make test does it)" if missing else ""


class Kannel:
    """Both boxes, bound to the SMSC at `smpp` (a port here) by a transceiver, or by a transmitter and a receiver.

    What phones send is asked of the URL `http`, with `from`, `to`, `text` and `charset`; its answer goes to the phone.
    """

    def __init__(self, directory: Path, smpp: int, transceiver: bool, http: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._settings = directory / "kannel.conf"
        self._settings.write_text(_settings(smpp, self.port, transceiver, http), encoding="utf-8")

    @property
    def sendsms(self) -> str:
        """Return the URL that takes SMS."""
        return f"http://127.0.0.1:{self.port}/cgi-bin/sendsms"

    @property
    def log(self) -> str:
        """Return what both have written."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.directory.glob("*.log")))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run both, first the one that the other connects to."""
        async with self._box("bearerbox") as bearerbox:
            # smsbox gives up where nobody is there to connect to.
            await self._until_it_says(bearerbox, "MAIN: Start-up done")
            async with self._box("smsbox") as smsbox:
                # It takes SMS before, and ends with an assertion of its own when it has nobody to hand them to.
                await self._until_it_says(smsbox, "Connected to bearerbox")
                yield

    @asynccontextmanager
    async def _box(self, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
        command = shutil.which(name)
        assert command is not None
        with (self.directory / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                command, "--verbosity", "0", str(self._settings), cwd=self.directory, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            await _end(process)

    async def _until_it_says(self, box: asyncio.subprocess.Process, words: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while words not in self.log:
                assert box.returncode is None, self.log
                await asyncio.sleep(0.02)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


_LINK = (
    "group = smsc",
    "smsc = smpp",
    "smsc-id = simulator",  # of both where there are two: a receipt comes by another one than its message went
    "host = 127.0.0.1",
    f"smsc-username = {ACCOUNT}",
    f"smsc-password = {PASSWORD}",
    'system-type = ""',
    'address-range = ""',
    "enquire-link-interval = 1",
)


def _settings(smpp: int, sendsms: int, transceiver: bool, http: str) -> str:
    admin, boxes = free_port(), free_port()
    links = [(f"port = {smpp}", "transceiver-mode = true")]
    if not transceiver:
        links = [(f"port = {smpp}",), (f"receive-port = {smpp}",)]
    return "\n".join(
        (
            "group = core",
            f"admin-port = {admin}",
            "admin-interface = 127.0.0.1",
            "admin-password = secret",
            f"smsbox-port = {boxes}",
            "smsbox-interface = 127.0.0.1",
            "box-allow-ip = 127.0.0.1",
            "dlr-storage = internal",
            "",
            *(line for link in links for line in (*_LINK, *link, "")),
            "group = smsbox",
            "bearerbox-host = 127.0.0.1",
            f"sendsms-port = {sendsms}",
            "sendsms-interface = 127.0.0.1",
            "",
            "group = sendsms-user",
            f"username = {ACCOUNT}",
            f"password = {PASSWORD}",
            "concatenation = true",
            "max-messages = 10",
            "",
            "group = sms-service",
            "keyword = default",
            f'get-url = "{http}?from=%p&to=%P&text=%b&charset=%C"',
            "concatenation = true",
            "max-messages = 10",
            "accept-x-kannel-headers = true",
            "",
        )
    )
