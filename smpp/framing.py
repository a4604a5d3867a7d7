"""Octets in, whole PDUs out."""

from struct import Struct

from smpp.constants import HEADER_OCTETS

_unpack_length = Struct(">I").unpack_from


class Framer:
    """Cuts a stream into PDUs by their command_length (SMPP 3.4 §3.2).

    Memory is bounded by `max_octets` and the largest piece fed; every octet is copied a fixed number of times, however
    small the pieces are. A length below a header or above `max_octets` is the end: where the next PDU begins cannot be
    known any more. `fault` then holds that length and nothing further is read.
    """

    __slots__ = ("_buffer", "_max_octets", "_need", "fault")

    def __init__(self, max_octets: int) -> None:
        self._buffer = bytearray()
        self._max_octets = max_octets
        self._need = 4  # octets that the buffer must hold before it is worth another look
        self.fault: int | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next octets and return the PDUs that they complete, the good ones before a fault included."""
        if self.fault is not None:
            return []
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._need:
                return []
            data = bytes(buffer)
            buffer.clear()
        frames: list[bytes] = []
        most, total = self._max_octets, len(data)
        start, last = 0, total - 4
        while start <= last:
            (length,) = _unpack_length(data, start)
            if not HEADER_OCTETS <= length <= most:
                self.fault = length
                return frames
            end = start + length
            if end > total:
                self._need = length
                buffer += data[start:]
                return frames
            frames.append(data[start:end])
            start = end
        if start < total:
            self._need = 4
            buffer += data[start:]
        return frames
