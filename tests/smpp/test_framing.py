"""The framer gives the same PDUs however the stream is cut, and holds no more than one of them."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.framing import Framer

frames = st.binary(max_size=60).map(lambda body: struct.pack(">I", 16 + len(body)) + bytes(12) + body)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(st.lists(frames, max_size=8), st.lists(st.integers(min_value=0), max_size=20))
def test_frames_are_the_same_wherever_the_stream_is_cut(sent: list[bytes], places: list[int]) -> None:
    framer = Framer(100)
    received = [frame for piece in cut(b"".join(sent), places) for frame in framer.feed(piece)]
    assert received == sent
    assert framer.fault is None


@given(frames)
def test_octet_by_octet_a_frame_comes_with_its_last(frame: bytes) -> None:
    framer = Framer(100)
    answers = [framer.feed(bytes((octet,))) for octet in frame]
    assert answers == [[]] * (len(frame) - 1) + [[frame]]


@pytest.mark.parametrize("length", [0, 4, 15, 101, 0xFFFFFFFF])
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_length_out_of_bounds_is_the_end_known_from_four_octets(length: int, size: int) -> None:
    good = struct.pack(">I", 16) + bytes(12)
    stream = good + struct.pack(">I", length)
    framer = Framer(100)
    received = [frame for start in range(0, len(stream), size) for frame in framer.feed(stream[start : start + size])]
    assert received == [good]
    assert framer.fault == length
    assert framer.feed(good) == []


@given(st.lists(st.binary(max_size=50), max_size=50))
def test_memory_is_bounded_by_the_largest_pdu_and_piece(pieces: list[bytes]) -> None:
    framer = Framer(100)
    for piece in pieces:
        framer.feed(piece)
        assert len(framer._buffer) < 100
