"""An SMSC that speaks octets over one socket, for what a well-behaved one would never send."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from struct import unpack_from
from typing import Any

from smpp.alphabets import decode as decode_text
from smpp.constants import CommandId, EsmClass, Status, Tag
from smpp.pdu import Bind, BindResp, Malformed, Message, MessageResp, Outbind, Pdu, decode, encode
from tests.acceptance.harness import PATIENCE_S, Submitted

SYSTEM_ID, PASSWORD = "tester", "secret"

_TLVS = {
    "ussd_service_op": (Tag.USSD_SERVICE_OP, 1),
    "its_session_info": (Tag.ITS_SESSION_INFO, 2),
    "message_payload": (Tag.MESSAGE_PAYLOAD, 0),
    "user_message_reference": (Tag.USER_MESSAGE_REFERENCE, 2),
    "receipted_message_id": (Tag.RECEIPTED_MESSAGE_ID, 0),
    "message_state": (Tag.MESSAGE_STATE, 1),
}
_BINDS = (CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)


class Gateway:
    """A listening SMSC with at most one link. What was received and not asked for yet waits in order.

    `acknowledge` is the status that submit_sm are answered with, None for no answer. `tls` is for an SMSC that speaks
    TLS, `listener` is the port of another one for those that share it.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, listener: socket.socket | None = None) -> None:
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_S)
        self.port = int(self.listener.getsockname()[1])
        self._tls = tls
        self._socket: socket.socket | None = None
        self._octets = b""
        self._waiting: list[Pdu | Malformed] = []
        self._sequence = 0
        self._message_id = 0
        self.acknowledge: int | None = 0
        self.submits = 0

    @property
    def url(self) -> str:
        """Return the URL for `--smsc`."""
        return f"smpp{'s' if self._tls else ''}://{SYSTEM_ID}:{PASSWORD}@127.0.0.1:{self.port}"

    # The link -----------------------------------------------------------------------------------------------------

    def accept(self, status: int = 0) -> Bind:
        """Wait for a connection and its bind, and grant or refuse it. Raises `ssl.SSLError` where there is no TLS."""
        self.hang_up()
        self._socket, _ = self.listener.accept()
        if self._tls is not None:
            self._socket.settimeout(PATIENCE_S)
            self._socket = self._tls.wrap_socket(self._socket, server_side=True)
        return self._answer_bind(status)

    def call(self, port: int, outbind: Outbind) -> None:
        """Connect to a server that waits for it, and ask for a bind."""
        self.hang_up()
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.write(encode(outbind))

    def called(self, port: int, outbind: Outbind) -> Bind:
        """Connect to a server that waits for it, and grant the bind that comes."""
        self.call(port, outbind)
        return self._answer_bind(0)

    def _answer_bind(self, status: int) -> Bind:
        bind = self.take("a bind", lambda pdu: isinstance(pdu, Bind))
        assert isinstance(bind, Bind)
        self.write(encode(BindResp(bind.command | 0x80000000, bind.sequence, status, "" if status else "gateway")))
        return bind

    def hang_up(self) -> None:
        """Cut the connection, without an unbind."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._octets = None, b""
        self._waiting.clear()

    def close(self) -> None:
        """Cut the connection and stop listening."""
        self.hang_up()
        self.listener.close()

    def write(self, octets: bytes) -> None:
        """Send octets as they are."""
        assert self._socket is not None
        self._socket.sendall(octets)

    def next_sequence(self) -> int:
        """Return a sequence number that was not used yet."""
        self._sequence += 1
        return self._sequence

    def take(self, what: str, wanted: Callable[[Pdu | Malformed], bool]) -> Pdu | Malformed:
        """Return the first PDU that is wanted, waiting for it; others stay for later."""
        deadline = time.monotonic() + PATIENCE_S
        at = 0
        while True:
            while at < len(self._waiting):
                if wanted(self._waiting[at]):
                    return self._waiting.pop(at)
                at += 1
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"waited in vain for {what}; got {self._waiting}")
            try:
                self._read(left)
            except TimeoutError:
                continue

    def wait_closed(self) -> None:
        """Read until the server has closed the connection."""
        try:
            self.take("the end of the connection", lambda _pdu: False)
        except Closed:
            return

    def barrier(self) -> None:
        """Return when all that was sent before has been read: an enquire_link is answered in its turn."""
        sequence = self.next_sequence()
        self.write(bytes.fromhex("00000010 00000015 00000000") + sequence.to_bytes(4, "big"))
        self.take(
            "an enquire_link_resp",
            lambda pdu: pdu.command == CommandId.ENQUIRE_LINK_RESP and pdu.sequence == sequence,
        )

    def _read(self, timeout: float) -> None:
        assert self._socket is not None
        self._socket.settimeout(timeout)
        try:
            octets = self._socket.recv(65536)
        except ConnectionResetError:
            octets = b""
        if not octets:
            raise Closed("the server closed the connection")
        self._octets += octets
        while len(self._octets) >= 16:
            length = unpack_from(">I", self._octets)[0]
            if len(self._octets) < length:
                break
            frame, self._octets = self._octets[:length], self._octets[length:]
            self._received(decode(frame))

    def _received(self, pdu: Pdu | Malformed) -> None:
        assert not isinstance(pdu, Malformed), f"the server sent a malformed PDU: {pdu}"
        if pdu.command in (CommandId.ENQUIRE_LINK, CommandId.UNBIND):
            self.write(
                bytes.fromhex("00000010")
                + (pdu.command | 0x80000000).to_bytes(4, "big")
                + bytes(4)
                + pdu.sequence.to_bytes(4, "big")
            )
        if pdu.command == CommandId.ENQUIRE_LINK:
            return
        if pdu.command == CommandId.SUBMIT_SM:
            self.submits += 1
            if self.acknowledge is not None:
                self._message_id += 1
                name = "" if self.acknowledge else str(self._message_id)
                self.write(encode(MessageResp(CommandId.SUBMIT_SM_RESP, pdu.sequence, self.acknowledge, name)))
        self._waiting.append(pdu)

    # Messages -------------------------------------------------------------------------------------------------------

    def deliver(self, fields: dict[str, Any]) -> int:
        """Send a deliver_sm (or what `command` names) and return the status of its response."""
        return self.response(self.send(fields))

    def send(self, fields: dict[str, Any]) -> int:
        """Send a deliver_sm and return its sequence number without waiting for the response."""
        (sequence,) = self.send_together([fields])
        return sequence

    def send_together(self, several: Iterable[dict[str, Any]]) -> list[int]:
        """Send these as `send` does, in one write, so that no time passes between them."""
        messages = [make_message(fields) for fields in several]
        for message in messages:
            message.sequence = message.sequence or self.next_sequence()
        self.write(b"".join(map(encode, messages)))
        return [message.sequence for message in messages]

    def response(self, sequence: int) -> int:
        """Return the status of the response to this sequence number, a generic_nack's too."""
        pdu = self.take(
            f"the response to {sequence}",
            lambda pdu: bool(pdu.command & 0x80000000) and pdu.sequence == sequence,
        )
        assert not isinstance(pdu, Malformed)
        return pdu.status

    def expect(self, what: str, wanted: Callable[[Submitted], bool]) -> Submitted:
        """Take the first submit_sm that is wanted, waiting for it."""
        pdu = self.take(
            what, lambda pdu: isinstance(pdu, Message) and pdu.command == CommandId.SUBMIT_SM and wanted(submitted(pdu))
        )
        assert isinstance(pdu, Message)
        return submitted(pdu)

    def seen(self, wanted: Callable[[Submitted], bool]) -> Sequence[Submitted]:
        """Return the submit_sm already received and not taken yet."""
        messages = [pdu for pdu in self._waiting if isinstance(pdu, Message) and pdu.command == CommandId.SUBMIT_SM]
        return [message for message in map(submitted, messages) if wanted(message)]


class Pair:
    """An SMSC whose ESME sends by one link and receives by another, `bind=txrx`; phones use it as they do a `Gateway`.

    Each link may be lost and come back by itself: `transmitter.hang_up()`, `transmitter.accept()`.
    """

    def __init__(self) -> None:
        first = Gateway()
        self._links = [first, Gateway(listener=first.listener)]
        self.url = f"{first.url}?bind=txrx"

    def accept(self) -> None:
        """Wait for both links and their binds, which may come in any order, and grant them."""
        links = {link.accept().command: link for link in self._links}
        self.transmitter = links[CommandId.BIND_TRANSMITTER]
        self.receiver = links[CommandId.BIND_RECEIVER]
        # A submit_sm on a receiver is refused, as any SMSC does (SMPP 3.4, 2.3).
        self.receiver.acknowledge = Status.RINVBNDSTS

    def close(self) -> None:
        """Cut both links and stop listening."""
        for link in self._links:
            link.close()

    def next_sequence(self) -> int:
        """Return a sequence number of the receiver that was not used yet."""
        return self.receiver.next_sequence()

    def deliver(self, fields: dict[str, Any]) -> int:
        """Send a deliver_sm by the receiver and return the status of its response."""
        return self.receiver.deliver(fields)

    def expect(self, what: str, wanted: Callable[[Submitted], bool]) -> Submitted:
        """Take the first submit_sm of the transmitter that is wanted, waiting for it."""
        return self.transmitter.expect(what, wanted)

    def seen(self, wanted: Callable[[Submitted], bool]) -> Sequence[Submitted]:
        """Return the submit_sm already received by either link and not taken yet."""
        return [*self.transmitter.seen(wanted), *self.receiver.seen(wanted)]


class Closed(Exception):
    """The server closed the connection."""


def make_message(fields: dict[str, Any]) -> Message:
    """Make a deliver_sm, or what `command` says, of fields and TLVs by name; `tlvs` holds others by tag."""
    values = dict(fields)
    tlvs: dict[int, bytes] = dict(values.pop("tlvs", {}))
    for name, (tag, size) in _TLVS.items():
        if name in values:
            value = values.pop(name)
            tlvs[tag] = value.to_bytes(size, "big") if isinstance(value, int) else value
    command = CommandId[values.pop("command", "deliver_sm").upper()]
    return Message(command=command, tlvs=tlvs, **values)


def submitted(message: Message) -> Submitted:
    """Read a submit_sm as a phone network does."""
    part, parts = _part(message)
    octets = message.user_data
    return Submitted(
        source=message.source_addr,
        destination=message.destination_addr,
        text=decode_text(octets, message.data_coding),
        octets=octets,
        data_coding=message.data_coding,
        op=message.integer(Tag.USSD_SERVICE_OP),
        session=message.integer(Tag.ITS_SESSION_INFO),
        part=part,
        parts=parts,
    )


def _part(message: Message) -> tuple[int, int]:
    if message.esm_class & EsmClass.UDHI:
        header = message.payload
        return header[header[0]], header[header[0] - 1]
    return message.integer(Tag.SAR_SEGMENT_SEQNUM) or 1, message.integer(Tag.SAR_TOTAL_SEGMENTS) or 1
