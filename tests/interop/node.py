"""The npm package `smpp` as the SMSC, driven over standard input and output."""

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.harness import PATIENCE_S, Submitted

HERE = Path(__file__).parent
SYSTEM_ID, PASSWORD = "tester", "secret"


def available() -> str:
    """Return "" where the peer can run, else what is missing."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (HERE / "node_modules" / "smpp").is_dir():
        return "the npm package smpp is not installed in tests/interop (make test does it)"
    return ""


class NodeSmsc:
    """A node process that listens as an SMSC. What it told and was not asked for yet waits in order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "smsc.js", SYSTEM_ID, PASSWORD], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._waiting: list[dict[str, Any]] = []
        self._id = 0
        self._sequence = 1000  # far from the numbers that the package gives by itself
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        listening = self.event("listening")
        self.port: int = listening["port"]
        self.version: str = listening["version"]

    @property
    def url(self) -> str:
        """Return the URL for `--smsc`."""
        return f"smpp://{SYSTEM_ID}:{PASSWORD}@127.0.0.1:{self.port}"

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            if pipe is self._process.stdin:
                pipe.close()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)

    def tell(self, **command: Any) -> None:
        """Give the process a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def acknowledge(self, status: int) -> None:
        """Answer submit_sm with this status from now on."""
        self.tell(do="acknowledge", status=status)
        assert self.event("acknowledging")["status"] == status

    def take(self, what: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first event that is wanted, waiting for it; others stay for later."""
        deadline = time.monotonic() + PATIENCE_S
        at = 0
        while True:
            while at < len(self._waiting):
                if wanted(self._waiting[at]):
                    return self._waiting.pop(at)
                at += 1
            try:
                event = self._heard.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain for {what}; got {self._waiting}") from None
            assert event is not None, "node ended"
            assert event["event"] != "error", event
            self._waiting.append(event)

    def event(self, name: str) -> dict[str, Any]:
        """Return the next event of this name."""
        return self.take(name, lambda event: event["event"] == name)

    def next_sequence(self) -> int:
        """Return a sequence number that was not used yet."""
        self._sequence += 1
        return self._sequence

    def deliver(self, fields: dict[str, Any]) -> int:
        """Send a deliver_sm (or what `command` names) and return the status of its response."""
        self._id += 1
        number = self._id
        values = {key: {"hex": value.hex()} if isinstance(value, bytes) else value for key, value in fields.items()}
        command = values.pop("command", "deliver_sm")
        values["sequence_number"] = values.pop("sequence", None) or self.next_sequence()
        self.tell(do="send", id=number, command=command, fields=values)
        response = self.take(
            f"the response to {fields}", lambda event: event["event"] == "response" and event["id"] == number
        )
        assert response["command"] == f"{command}_resp"
        return int(response["status"])

    def expect(self, what: str, wanted: Callable[[Submitted], bool]) -> Submitted:
        """Take the first submit_sm that is wanted, waiting for it."""
        return submitted(self.take(what, lambda event: event["event"] == "submit" and wanted(submitted(event))))

    def seen(self, wanted: Callable[[Submitted], bool]) -> Sequence[Submitted]:
        """Return the submit_sm already received and not taken yet."""
        return [m for m in (submitted(e) for e in self._waiting if e["event"] == "submit") if wanted(m)]


def submitted(event: dict[str, Any]) -> Submitted:
    """Read a submit_sm as node's package decoded it; only the count of octets is ours."""
    pdu = event["pdu"]
    octets = bytes.fromhex(event["octets"])
    part, parts = 1, 1
    if pdu["esm_class"] & 0x40:
        header = octets[: octets[0] + 1]
        parts, part = header[-2], header[-1]
        octets = octets[octets[0] + 1 :]
    text = pdu["short_message"]["message"]
    session = pdu.get("its_session_info")
    return Submitted(
        source=pdu["source_addr"],
        destination=pdu["destination_addr"],
        text=text if isinstance(text, str) else bytes.fromhex(text["hex"]).decode("latin-1"),
        octets=octets,
        data_coding=pdu["data_coding"],
        op=pdu.get("ussd_service_op"),
        session=None if session is None else int(session["hex"], 16),
        part=pdu.get("sar_segment_seqnum", part),
        parts=pdu.get("sar_total_segments", parts),
    )
