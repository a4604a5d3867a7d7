"""Recorded dialogues: what a gateway and a service send each other in a dialect, octet by octet, as a text file.

A file begins with `dialect`, `msisdn` and `service`. Then each block is one PDU: what is done, its fields in the order
of the wire, each a name, its octets in hex and a remark, and for a gateway's message what it is to be heard as.

    --- a caption
    < dial *111# session 17 count 0        < comes from the gateway, > is what we send
      header  00000043 00000005 00000000 00000001   # 67 octets, deliver_sm, status 0, sequence 1
      ...
    heard Begin(dialogue='1100', text='*111#', sequence=0)

| done by the gateway | | done by us | |
|---|---|---|---|
| `dial CODE`, `answer TEXT` | `session N count N` | `respond` | to the last message |
| `confirm`, `abort WHY` | where there are some | `menu "TEXT"`, `end "TEXT"` | to the last message |
| `taken`, `refused` | a response | `end pushed "TEXT"` | the last text of a dialogue that we began |
| `as it is` | a PDU that our simulator does not send | `ask "TEXT"`, `notify "TEXT"`, `release` | |

`python -m tests.ussd_server.dialects.recording HEX...` shows PDUs as such fields.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

RECORDINGS = Path(__file__).with_name("recordings")

_TAGS = {
    0x0501: "ussd_service_op",
    0x1383: "its_session_info",
    0x0204: "user_message_reference",
    0x1501: "tlv_1501",
    0x0424: "message_payload",
}
_MESSAGES = {0x04: 7, 0x05: 7, 0x103: 2}
"""How many octets stand between the addresses and data_coding, where both times are empty."""


@dataclass
class Block:
    """One PDU. `way` is `<` or `>`, `act` what is done, `line` where it stands."""

    way: str
    act: str
    line: int
    fields: list[tuple[str, bytes]] = field(default_factory=list)
    heard: str = ""

    @property
    def octets(self) -> bytes:
        return b"".join(octets for _, octets in self.fields)


@dataclass
class Recording:
    """A file: its head, and its PDUs in order."""

    name: str
    head: dict[str, str]
    blocks: list[Block]


def read(path: Path) -> Recording:
    """Read a recording. Raises ValueError with the line where it is none."""
    head: dict[str, str] = {}
    blocks: list[Block] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(("<", ">")):
            blocks.append(Block(line[0], line[1:].strip(), number))
        elif line.startswith("  "):
            name, _, rest = line.strip().partition(" ")
            blocks[-1].fields.append((name, bytes.fromhex(rest.partition("#")[0])))
        elif line.startswith("heard "):
            blocks[-1].heard = line.removeprefix("heard ")
        elif re.fullmatch(r"(dialect|msisdn|service) \S+", line):
            key, value = line.split()
            head[key] = value
        elif line and not line.startswith(("#", "---")):
            raise ValueError(f"{path.name}:{number}: what is this? {line}")
    return Recording(path.stem, head, blocks)


def shown(octets: bytes) -> list[str]:
    """Return a PDU as lines of fields, without remarks; what cannot be walked is one field `rest`."""
    return [f"{name:<22} {_hex(name, value)}" for name, value in _walk(octets)]


def difference(recorded: Block, octets: bytes, where: str) -> str:
    """Return a PDU beside the recorded one, field by field, "" where they are the same."""
    if octets == recorded.octets:
        return ""
    ours, theirs = shown(octets) or ["nothing"], shown(recorded.octets)
    title = f"{where}:{recorded.line} ({recorded.way} {recorded.act})"
    return "\n".join(unified_diff(theirs, ours, f"{title} recorded", "made now", lineterm="", n=30))


def _hex(name: str, value: bytes) -> str:
    return value.hex(" ", 4 if name == "header" else 1)


def _walk(octets: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut a PDU into its fields, by the lengths and NULs in it and nothing else."""
    if len(octets) < 16:
        if octets:
            yield "rest", octets
        return
    yield "header", octets[:16]
    command, at = int.from_bytes(octets[4:8], "big"), 16
    if command not in _MESSAGES:
        if octets[at:]:
            yield "message_id", octets[at:]
        return
    for name, before in (("service_type", 0), ("source_addr", 2), ("destination_addr", 2)):
        end = octets.find(b"\0", at + before) + 1
        if not end:
            break
        yield name, octets[at:end]
        at = end
    for name, size in (("flags", _MESSAGES[command]), ("data_coding", 1)):
        yield name, octets[at : at + size]
        at += size
    if command != 0x103:
        yield "sm_default_msg_id", octets[at : at + 1]
        size = 1 + (octets[at + 1] if at + 1 < len(octets) else 0)
        yield "short_message", octets[at + 1 : at + 1 + size]
        at += 1 + size
    while at + 4 <= len(octets):
        tag, size = int.from_bytes(octets[at : at + 2], "big"), int.from_bytes(octets[at + 2 : at + 4], "big")
        yield _TAGS.get(tag, f"tlv_{tag:04x}"), octets[at : at + 4 + size]
        at += 4 + size
    if at < len(octets):
        yield "rest", octets[at:]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print("\n".join(shown(bytes.fromhex(argument))), end="\n\n")
