"""The recorded dialogues of every dialect, read and written by an SMPP implementation that somebody else wrote."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from smpp.alphabets import decode as decode_text
from smpp.constants import CommandId, DataCoding, Tag, command_name
from smpp.pdu import Message, decode
from tests.acceptance.harness import PATIENCE_S
from tests.interop.node import HERE, available
from tests.ussd_server.dialects.recording import RECORDINGS, Block, read

pytestmark = pytest.mark.interop
SESSIONS = {
    "its_session_info": Tag.ITS_SESSION_INFO,
    "user_message_reference": Tag.USER_MESSAGE_REFERENCE,
    "comverse_session": 0x1501,
}


def as_node_reads(blocks: list[Block]) -> list[dict[str, Any]]:
    """Return what node's package makes of each PDU."""
    missing = available()
    if missing:
        pytest.fail(missing)
    done = subprocess.run(
        ["node", "read.js"],
        cwd=HERE,
        input="".join(f"{block.octets.hex()}\n" for block in blocks),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.txt")), ids=lambda path: path.stem)
def test_node_reads_the_recorded_octets_as_we_do_and_would_write_the_same(path: Path) -> None:
    blocks = read(path).blocks
    others = as_node_reads(blocks)
    assert len(others) == len(blocks)
    for block, other in zip(blocks, others, strict=True):
        ours = decode(block.octets)
        assert other["command"] == command_name(ours.command)
        writes = True
        if isinstance(ours, Message):
            writes = ours.data_coding != DataCoding.USSD_UCS2  # node reads it, and writes question marks
            assert fields_of(other) == fields_of_ours(ours)
            place = "message_payload" if ours.command == CommandId.DATA_SM else "short_message"
            assert text_of(other[place]) == decode_text(ours.payload, ours.data_coding)
        assert not writes or other["octets"] == block.octets.hex(), f"{path.name}:{block.line}"


def text_of(value: Any) -> str:
    """Return a text of node's; one without octets is an empty buffer."""
    message = value["message"]
    return message if isinstance(message, str) else bytes.fromhex(message["hex"]).decode("latin-1")


def fields_of(other: dict[str, Any]) -> dict[str, Any]:
    session = [other.get(name) for name in SESSIONS]
    return {
        "from": (other["source_addr_ton"], other["source_addr_npi"], other["source_addr"]),
        "to": (other["dest_addr_ton"], other["dest_addr_npi"], other["destination_addr"]),
        "service_type": other["service_type"],
        "data_coding": other["data_coding"],
        "op": other.get("ussd_service_op"),
        "session": [int(value["hex"], 16) if isinstance(value, dict) else value for value in session],
    }


def fields_of_ours(message: Message) -> dict[str, Any]:
    return {
        "from": (message.source_addr_ton, message.source_addr_npi, message.source_addr),
        "to": (message.dest_addr_ton, message.dest_addr_npi, message.destination_addr),
        "service_type": message.service_type,
        "data_coding": message.data_coding,
        "op": message.integer(Tag.USSD_SERVICE_OP),
        "session": [message.integer(tag) for tag in SESSIONS.values()],
    }
