"""The yardstick: a bare asyncio ESME that answers fixed octets, the least that any server in Python must do a step.

It binds, and for each deliver_sm writes a deliver_sm_resp and a submit_sm that were made beforehand, in which only the
sequence number, the MSISDN and the session are patched. It reads a PDU's length, command and sequence and nothing else,
keeps nothing, and stores nothing.
"""

import argparse
import asyncio
from struct import pack_into, unpack_from
from typing import cast

import uvloop

from benchmarks.paths import FIXED_TEXT, MENU, SHORT_CODE
from benchmarks.wire import (
    DELIVER_SM,
    ENQUIRE_LINK,
    MSISDN_DIGITS,
    RESPONSE,
    SEQUENCE_AT,
    SUBMIT_SM,
    TAG_OP,
    TAG_SESSION,
    UNBIND,
    deliver_template,
    pdu,
    tlv,
)

BIND_TRANSCEIVER = 0x00000009
_MSISDN_FROM = deliver_template(1, "", SHORT_CODE)[1]


def _submit_template() -> tuple[bytearray, int]:
    head = b"USSD\0\x00\x01" + SHORT_CODE.encode("ascii") + b"\0\x01\x01"
    text = FIXED_TEXT.encode("utf-16-be")
    body = b"".join(
        (
            head,
            b"0" * MSISDN_DIGITS + b"\0",
            b"\0\0\0\0\0\0\0\x08\0",
            bytes((len(text),)) + text,
            tlv(TAG_OP, bytes((MENU,))),
            tlv(TAG_SESSION, b"\0\0"),
        )
    )
    return bytearray(pdu(SUBMIT_SM, 0, body)), 16 + len(head)


class Yardstick(asyncio.Protocol):
    """Answers every deliver_sm with the same screen."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self._done = done
        self._rest = b""
        self._sequence = 1
        self._response = bytearray(pdu(DELIVER_SM | RESPONSE, 0, b"\0"))
        self._submit, self._msisdn_to = _submit_template()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind at once."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(pdu(BIND_TRANSCEIVER, 1, b"bench\0bench\0\0\x34\0\0\0"))

    def data_received(self, data: bytes) -> None:
        """Answer every whole PDU and write all answers at once."""
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        out = bytearray()
        response, submit, msisdn_to = self._response, self._submit, self._msisdn_to
        while size - at >= 16:
            length, command = unpack_from(">II", data, at)
            if size - at < length:
                break
            if command == DELIVER_SM:
                response[12:16] = data[at + 12 : at + 16]
                self._sequence += 1
                pack_into(">I", submit, SEQUENCE_AT, self._sequence)
                msisdn_at = at + _MSISDN_FROM
                submit[msisdn_to : msisdn_to + MSISDN_DIGITS] = data[msisdn_at : msisdn_at + MSISDN_DIGITS]
                submit[-2:] = data[at + length - 2 : at + length]
                out += response
                out += submit
            elif command in (ENQUIRE_LINK, UNBIND):
                out += pdu(command | RESPONSE, unpack_from(">I", data, at + SEQUENCE_AT)[0])
            at += length
        self._rest = data[at:]
        if out:
            self._transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: the run is over."""
        if not self._done.done():
            self._done.set_result(None)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    await loop.create_connection(lambda: Yardstick(done), "127.0.0.1", port)
    await done


def main() -> None:
    """Connect to the load generator on a loopback port and answer until it hangs up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="port of the load generator on 127.0.0.1")
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
