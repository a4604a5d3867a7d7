"""A capture file of one TCP connection, made of the octets that pass on it, and what tshark reads in it."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from struct import pack

SMPP_PORT = 2775
_ESME_PORT = 40000
_MOST_OCTETS = 65_000
PATIENCE_S = 60
_PARTS = "gsm_sms_ud"
"""The parts of a long SMS, which tshark joins."""
_NAMELESS = re.compile(r"(unknown|reserved)( error)? \((0x)?[0-9a-f]+\)$|^Optional parameter: 0x", re.IGNORECASE)
_UNDERSTOOD = {"geninfo", "frame", "eth", "ip", "tcp", "smpp", _PARTS}
"""What a packet may be made of: neither octets that nobody reads nor anything malformed."""


def available() -> str:
    """Return "" where tshark can run, else what is missing."""
    return "" if shutil.which("tshark") else "Debian's tshark is not installed (make test does it)"


@dataclass(frozen=True)
class Segment:
    """Octets that one side wrote."""

    from_esme: bool
    octets: bytes


def write(file: Path, segments: Iterable[Segment]) -> None:
    """Write a capture (libpcap 2.4, Ethernet) in which each segment is a packet; the handshake comes first."""
    acknowledged = {True: 1000, False: 5000}
    packets = [(True, b"", 0x02), (False, b"", 0x12), (True, b"", 0x10)]  # SYN, SYN and ACK, ACK
    packets += [(segment.from_esme, segment.octets, 0x18) for segment in segments]  # PSH and ACK
    with file.open("wb") as out:
        out.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1))
        for at, (from_esme, octets, flags) in enumerate(packets):
            assert len(octets) <= _MOST_OCTETS
            seen = acknowledged[not from_esme] if flags & 0x10 else 0
            frame = _ethernet(from_esme, octets, flags, acknowledged[from_esme], seen)
            out.write(pack("<IIII", at, 0, len(frame), len(frame)) + frame)
            acknowledged[from_esme] += len(octets) + (flags >> 1 & 1)


def _ethernet(from_esme: bool, octets: bytes, flags: int, sequence: int, acknowledged: int) -> bytes:
    """Return a frame of Ethernet, IPv4 and TCP; the checksums of both are left out, as offloading network cards do."""
    one, other = b"\x7f\0\0\1", b"\x7f\0\0\2"
    source, destination = (one, other) if from_esme else (other, one)
    ports = (_ESME_PORT, SMPP_PORT) if from_esme else (SMPP_PORT, _ESME_PORT)
    tcp = pack(">HHIIBBHHH", *ports, sequence, acknowledged, 0x50, flags, 0xFFFF, 0, 0) + octets
    ip = pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, destination) + tcp
    return bytes(12) + b"\x08\0" + ip


class Read:
    """One PDU as tshark read it."""

    def __init__(self, packet: ET.Element, proto: ET.Element) -> None:
        self._fields = list(proto.iter("field"))
        self._text = [field for inner in packet.iter("proto") if inner.get("name") == _PARTS for field in inner.iter()]

    @cached_property
    def values(self) -> dict[str, str]:
        """Every field's value by its name without `smpp.`; of a name that comes twice the last."""
        return dict(self._named())

    @property
    def puzzles(self) -> set[str]:
        """What tshark has no name for, or finds odd, in its words. A type of number may be called unknown by right."""
        fields = [
            field for field in (*self._fields, *self._text) if not field.get("name", "").endswith(("_ton", "_npi"))
        ]
        words = {field.get("showname") or field.get("show", "") for field in fields}
        notes = {field.get("showname", "") for field in fields if field.get("name", "").startswith("_ws")}
        return notes | {word for word in words if _NAMELESS.search(word)}

    def octets(self, name: str) -> bytes:
        return bytes.fromhex(self.values[name].replace(":", ""))

    def integer(self, name: str) -> int:
        return int(self.values[name], 0)

    def every(self, name: str) -> list[str]:
        """Return the values of a field that comes any number of times."""
        return [value for other, value in self._named() if other == name]

    def _named(self) -> Iterator[tuple[str, str]]:
        for field in self._fields:
            name = field.get("name", "")
            if name.startswith("smpp."):
                yield name.removeprefix("smpp."), field.get("show", "")


def read(file: Path) -> list[Read]:
    """Have tshark decode a capture; the PDUs in their order. A packet that it cannot make sense of fails the test."""
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-d", f"tcp.port=={SMPP_PORT},smpp", "-T", "pdml"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    pdus = []
    for packet in islice(ET.fromstring(done.stdout).iter("packet"), 3, None):  # after the handshake
        protos = {proto.get("name") for proto in packet.iter("proto")}
        assert protos <= _UNDERSTOOD, protos
        pdus += [Read(packet, proto) for proto in packet.iter("proto") if proto.get("name") == "smpp"]
    return pdus
