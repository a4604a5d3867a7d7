"""The network between phones and the SMSC process: what phones send, and what comes for them.

An input is sent until it is acknowledged; a killed SMSC is told it again after its start. What comes is read from the
file that the SMSC writes before it answers, so nothing that it accepted is lost with it.
"""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smpp.pdu import Message, decode, encode
from tests.acceptance.gateway import make_message, submitted
from tests.acceptance.harness import ANSWER, BEGIN, END, Submitted
from tests.chaos import ledger
from tests.chaos.ledger import Acknowledged, Dropped, Ledger, Linked, Means, Screen, Sent, Sms, Unlinked
from tests.chaos.processes import Child
from ussd_server.simulator.messages import receipt_of

LOOK_S = 0.01
"""How often the SMSC's file is looked at."""


@dataclass
class Arrived:
    """A screen or an SMS for a phone; `dialogue` 0 for an SMS."""

    text: str
    dialogue: int = 0
    ends: bool = False


class Network:
    """Phones call `send`; what comes for a number goes to its mailbox."""

    def __init__(self, directory: Path, port: int, book: Ledger) -> None:
        self.port = port
        self._spool = directory / "smsc.jsonl"
        self._spool.touch()
        self._book = book
        self._pending: dict[int, str] = {}
        self._before: Counter[int] = Counter()
        """How many SMSC that were killed had an input, and may have sent it."""
        self._count = 0
        self._parts: dict[tuple[str, str, bytes], dict[int, list[str]]] = defaultdict(dict)
        self._mailboxes: dict[str, Callable[[Arrived], None]] = {}
        self._links: set[str] = set()
        arguments = [sys.executable, "-m", "tests.chaos.smsc", str(port), str(self._spool)]
        # It runs where its log is, and these tests are no installed package.
        where = {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.smsc = Child("smsc", lambda: arguments, directory, where, pipe=True)
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the SMSC and begin to read."""
        self.smsc.start()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    def restart_smsc(self) -> None:
        """Start it after a kill, and tell it what no server has acknowledged."""
        self.smsc.start()
        for input, octets in self._pending.items():
            self._before[input] += 1
            self._tell({"deliver": input, "pdu": octets})

    async def close(self) -> None:
        """Stop the SMSC, and read what it left."""
        await self.smsc.end()
        await asyncio.sleep(5 * LOOK_S)
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader

    @property
    def unacknowledged(self) -> int:
        """How many inputs wait for an acknowledgement."""
        return len(self._pending)

    def waits(self, input: int) -> bool:
        """Tell whether an input still waits for its acknowledgement."""
        return input in self._pending

    def listen(self, msisdn: str, mailbox: Callable[[Arrived], None]) -> None:
        """Have what comes for a number told."""
        self._mailboxes[msisdn] = mailbox

    # What phones send ---------------------------------------------------------------------------------------------

    def sms(self, msisdn: str, number: str, text: str, means: Means, detail: str = "") -> int:
        """Send an SMS and return the input's id."""
        octets, coding = (text.encode("ascii"), 0) if text.isascii() else (text.encode("utf-16-be"), 8)
        fields = {**_addresses(msisdn, number), "short_message": octets, "data_coding": coding}
        input = self._next()
        self._book.note(Sent(ledger.now(), input, msisdn, "sms", means, text, detail=detail))
        return self._send(input, make_message(fields))

    def ussd(self, msisdn: str, dialogue: int, text: str, means: Means, expects: tuple[str, ...]) -> int:
        """Dial a code, which begins with an asterisk, or answer a screen; returns the input's id.

        `dialogue` is the network's number of it, 1 to 127.
        """
        begins = text.startswith("*")
        fields = {
            **_addresses(msisdn, "111"),
            "service_type": "USSD",
            "short_message": text.encode("ascii"),
            "ussd_service_op": BEGIN if begins else ANSWER,
            "its_session_info": (dialogue << 8).to_bytes(2, "big"),
        }
        input = self._next()
        self._book.note(Sent(ledger.now(), input, msisdn, "ussd", means, text, dialogue, expects))
        return self._send(input, make_message(fields))

    def drop(self, input: int) -> None:
        """Send an input no more: the dialogue is over for the network."""
        self._book.note(Dropped(ledger.now(), input))
        if self._pending.pop(input, None) is not None:
            self._tell({"forget": input})

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _send(self, input: int, message: Message) -> int:
        self._pending[input] = octets = encode(message, 1).hex()
        self._tell({"deliver": input, "pdu": octets})
        return input

    def _tell(self, line: dict[str, object]) -> None:
        process = self.smsc.process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):  # killed just now: it is told after its start
                process.stdin.write(json.dumps(line).encode() + b"\n")
                process.stdin.flush()

    # What comes ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        with self._spool.open("rb") as file:
            rest = b""
            while True:
                octets = rest + file.read()
                *lines, rest = octets.split(b"\n")
                for line in lines:
                    self._came(json.loads(line))
                await asyncio.sleep(LOOK_S)

    def _came(self, line: dict[str, object]) -> None:
        if "taken" in line:
            input = int(str(line["taken"]))
            self._pending.pop(input, None)
            tries = int(str(line["tries"])) + self._before.pop(input, 0)
            self._book.note(Acknowledged(ledger.now(), input, tries, str(line["link"])))
        elif "submit" in line:
            self._submitted(line)
        else:
            self._linked(line)

    def _linked(self, line: dict[str, object]) -> None:
        """Note which links the SMSC has; one that was started has none of those that the last one had."""
        if "bound" in line:
            self._links.add(link := str(line["bound"]))
            self._book.note(Linked(ledger.now(), link))
            return
        for link in [str(line["unbound"])] if "unbound" in line else sorted(self._links):
            self._links.discard(link)
            self._book.note(Unlinked(ledger.now(), link))

    def _submitted(self, line: dict[str, object]) -> None:
        message = decode(bytes.fromhex(str(line["submit"])))
        assert isinstance(message, Message), message
        shown = submitted(message)
        if shown.op is not None:
            self._screen(shown, str(line["link"]))
            return
        if message.registered_delivery:
            input = self._next()
            self._book.note(Sent(ledger.now(), input, shown.destination, "receipt", "receipt"))
            self._send(input, receipt_of(message, str(line["id"]), ledger.now()))
        reference = message.payload[: message.payload[0] + 1][:-1] if shown.parts > 1 else b""
        self._part(shown, reference)

    def _screen(self, shown: Submitted, link: str) -> None:
        assert shown.session is not None
        dialogue = shown.session >> 8
        ends = shown.op == END
        self._book.note(Screen(ledger.now(), shown.destination, dialogue, shown.text, ends, link))
        self._put(shown.destination, Arrived(shown.text, dialogue, ends))

    def _part(self, shown: Submitted, reference: bytes) -> None:
        """Put the parts of a long SMS together; each time that all are there once more, it came once more."""
        if shown.parts == 1:
            self._whole(shown.destination, shown.text)
            return
        parts = self._parts[shown.destination, shown.source, reference]
        parts.setdefault(shown.part, []).append(shown.text)
        if len(parts) == shown.parts:
            text = "".join(parts[number].pop(0) for number in range(1, shown.parts + 1))
            for number in [number for number, copies in parts.items() if not copies]:
                del parts[number]
            self._whole(shown.destination, text)

    def _whole(self, msisdn: str, text: str) -> None:
        self._book.note(Sms(ledger.now(), msisdn, text))
        self._put(msisdn, Arrived(text))

    def _put(self, msisdn: str, arrived: Arrived) -> None:
        mailbox = self._mailboxes.get(msisdn)
        if mailbox is not None:
            mailbox(arrived)


def _addresses(msisdn: str, number: str) -> dict[str, object]:
    return {
        "source_addr_ton": 1,
        "source_addr_npi": 1,
        "source_addr": msisdn,
        "dest_addr_npi": 1,
        "destination_addr": number,
    }
