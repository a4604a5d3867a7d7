"""What tests of the real server process share: the process, and phones on whatever SMSC it bound to."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests import leaks
from tests.ports import free_port

PATIENCE_S = 60.0
"""How long a test waits for what must come; far above what a loaded machine needs."""

COMMAND = str(Path(sys.executable).with_name("ussd-server"))

BEGIN, MENU, ANSWER, END = (
    0x01,
    0x02,
    0x12,
    0x11,
)  # ussd_service_op: PSSR indication, USSR request and confirm, PSSR response
ENDS_SESSION = 0x01


# The server -------------------------------------------------------------------------------------------------------


class ServerProcess:
    """`ussd-server` as an operator starts it: a process, its log, its HTTP address."""

    def __init__(
        self,
        data: Path,
        *options: str,
        smsc: str | None = None,
        environment: dict[str, str] | None = None,
        http_port: int = 0,
        command: Sequence[str] = (COMMAND,),
    ):
        self.http_port = http_port or free_port()
        arguments = ["run", "--data", str(data), "--log-format", "json"]
        if "USSD_SERVER_HTTP" not in (environment or {}):
            arguments += ["--http", f"127.0.0.1:{self.http_port}"]
        if smsc is not None:
            arguments += ["--smsc", smsc]
        data.mkdir(parents=True, exist_ok=True)
        self.lines: list[str] = []
        self._heard: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [*command, *arguments, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=data,
            env=own_environment(environment),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            leaks.heard(line)
            self._heard.put(line)
        self._heard.put(None)

    @property
    def log(self) -> str:
        """Return all that it has written so far."""
        return "\n".join(self.lines)

    def wait_for_log(self, *words: str) -> str:
        """Return the first line that holds all these words, waiting for it."""
        deadline = time.monotonic() + PATIENCE_S
        seen = 0
        while True:
            for line in self.lines[seen:]:
                seen += 1
                if all(word in line for word in words):
                    return line
            try:
                if self._heard.get(timeout=max(0.01, deadline - time.monotonic())) is None:
                    self._heard.put(None)
                    if seen >= len(self.lines):
                        raise AssertionError(f"the server ended without logging {words}:\n{self.log}")
            except queue.Empty:
                raise AssertionError(f"no log line with {words} in:\n{self.log}") from None

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an HTTP page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return status and content of `/readyz`."""
        status, body = self.get("/readyz")
        return status, json.loads(body)

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample of `/metrics`, 0 where it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rpartition(" ")[2])
        return 0.0

    def terminate(self) -> int:
        """Ask it to stop and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.wait()

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Wait for its end and return its exit status."""
        status = self.process.wait(seconds)
        self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def close(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.wait()


def run_to_end(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None, by: Sequence[str] = ()
) -> tuple[int, str]:
    """Run `ussd-server` with arguments that should end it at once; returns exit status and all it wrote.

    `by` is a command that runs the one that follows it.
    """
    done = subprocess.run(
        [*by, COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=own_environment(environment),
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout


def own_environment(more: dict[str, str] | None = None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("USSD_SERVER_")}
    return {**own, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200", **(more or {})}


@contextmanager
def running(
    data: Path,
    *options: str,
    smsc: str,
    environment: dict[str, str] | None = None,
    command: Sequence[str] = (COMMAND,),
) -> Iterator[ServerProcess]:
    """Run a server against an SMSC; what it logged is shown where the test fails."""
    server = ServerProcess(data, *options, smsc=smsc, environment=environment, command=command)
    try:
        yield server
    finally:
        server.close()
        print(server.log)


# Phones -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submitted:
    """A submit_sm of the server. `octets` is the text as it was on the wire, user data header left out."""

    source: str
    destination: str
    text: str
    octets: bytes
    data_coding: int
    op: int | None
    session: int | None
    part: int = 1
    parts: int = 1

    @property
    def ends(self) -> bool:
        """Whether it closes the dialogue, in the standard dialect."""
        return self.op == END


class Smsc(Protocol):
    """What phones need of an SMSC."""

    def next_sequence(self) -> int:
        """Return a sequence number that was not used yet."""

    def deliver(self, fields: dict[str, Any]) -> int:
        """Send a deliver_sm and return the status of its response.

        `command` may name another PDU, and `sequence` an old sequence number.
        """

    def expect(self, what: str, wanted: Callable[[Submitted], bool]) -> Submitted:
        """Take the first submit_sm that is wanted, waiting for it."""

    def seen(self, wanted: Callable[[Submitted], bool]) -> Sequence[Submitted]:
        """Return those already received and not taken yet."""


@dataclass
class Phone:
    """A subscriber's phone on an SMSC."""

    smsc: Smsc
    msisdn: str
    session: int = 0
    history: list[Submitted] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    def dial(self, code: str) -> Submitted:
        """Dial a USSD code and return the screen that comes."""
        self.session = self.session % 127 + 1
        return self._ussd(code, BEGIN)

    def answer(self, text: str) -> Submitted:
        """Answer the menu on the screen and return the next one."""
        return self._ussd(text, ANSWER)

    def walk(self, code: str, *answers: str) -> Submitted:
        """Dial and answer in turn; returns the last screen."""
        screen = self.dial(code)
        for answer in answers:
            assert not screen.ends, f"the dialogue ended before {answer!r}: {screen.text!r}"
            screen = self.answer(answer)
        return screen

    def hang_up(self) -> int:
        """End the dialogue from the network's side; returns the response's status."""
        return self.smsc.deliver(self.ussd_fields("", ANSWER, ends=True))

    def redeliver(self) -> Submitted:
        """Have the network deliver the last USSD input once more, under the same sequence number."""
        assert self.smsc.deliver(self.last) == 0
        return self.screen()

    def _ussd(self, text: str, op: int) -> Submitted:
        self.last = {**self.ussd_fields(text, op), "sequence": self.smsc.next_sequence()}
        status = self.smsc.deliver(self.last)
        assert status == 0, f"{text!r} was answered with status 0x{status:X}"
        return self.screen()

    def screen(self) -> Submitted:
        """Return the next USSD screen."""
        shown = self.smsc.expect(
            f"a screen for {self.msisdn}", lambda m: m.destination == self.msisdn and m.op is not None
        )
        assert shown.session is not None
        assert shown.session >> 8 == self.session, "the answer belongs to another dialogue"
        self.history.append(shown)
        return shown

    def ussd_fields(self, text: str, op: int, *, ends: bool = False) -> dict[str, Any]:
        """Return the deliver_sm of a USSD input."""
        return {
            "service_type": "USSD",
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": self.msisdn,
            "dest_addr_npi": 1,
            "destination_addr": "111",
            "short_message": text.encode("ascii"),
            "ussd_service_op": op,
            "its_session_info": (self.session << 8 | (ENDS_SESSION if ends else 0)).to_bytes(2, "big"),
        }

    def text(self, number: str, text: str, **fields: Any) -> int:
        """Send an SMS in UCS-2 (or ASCII where it fits, as phones do) and return the response's status."""
        octets, coding = (text.encode("ascii"), 0) if text.isascii() else (text.encode("utf-16-be"), 8)
        return self.smsc.deliver(self.sms_fields(number, short_message=octets, data_coding=coding, **fields))

    def sms_fields(self, number: str, **fields: Any) -> dict[str, Any]:
        """Return the deliver_sm of an SMS."""
        return {
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": self.msisdn,
            "dest_addr_npi": 1,
            "destination_addr": number,
            "short_message": b"",
            **fields,
        }

    def inbox(self) -> str:
        """Return the text of the next SMS, its parts put together."""
        parts = [self.next_part()]
        while len(parts) < parts[0].parts:
            parts.append(self.next_part())
        text = "".join(part.text for part in sorted(parts, key=lambda part: part.part))
        leaks.read_sms(text)
        return text

    def next_part(self) -> Submitted:
        """Return the next SMS as it was on the wire."""
        part = self.smsc.expect(f"an SMS to {self.msisdn}", lambda m: m.destination == self.msisdn and m.op is None)
        self.history.append(part)
        return part

    def activated(self) -> "Phone":
        """Activate the service by USSD."""
        assert self.dial("*111*2163#").ends
        return self
