"""The fuzzer's targets within the tests: what it kept before, and what Hypothesis makes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.pdu import encode
from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

pieces = st.binary(max_size=12) | st.sampled_from(
    [b"\0", b"USSD\0", b"\0\0\0\0", b"\x04\x24", b"\x05\x00\x03\x07\x02\x01"]
)
inputs = st.binary(max_size=200) | st.lists(pieces, max_size=30).map(b"".join)


def _raise(*_: object) -> None:
    raise AssertionError("as a broken function does")


@pytest.mark.parametrize("target", TARGETS)
@given(data=inputs)
def test_any_octets(target: str, data: bytes) -> None:
    TARGETS[target](data)


def _run_kept(target: str) -> None:
    kept = corpus.read(target)
    assert len(kept) > 10
    for data in kept:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_kept(target: str) -> None:
    _run_kept(target)


@pytest.mark.parametrize(
    ("target", "broken", "by"),
    [
        ("framing", "Framer.feed", lambda *_: [b"?"]),
        ("pdus", "encode", lambda pdu: encode(pdu, 77)),
        ("messages", "classify", _raise),
        ("links", "Link.lost", lambda *_: []),
        ("parts", "reassembly.expire", lambda letters, *_: (letters * 2, ())),
    ],
)
def test_what_does_not_hold_is_noticed(
    target: str, broken: str, by: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tests.fuzz.targets.{broken}", by)
    with pytest.raises(AssertionError):
        _run_kept(target)


def test_the_corpus_is_packed_as_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "HERE", tmp_path)
    corpus.keep("one", [b"\x02\x03", b"\x01", b"\x01"])
    assert corpus.read("one") == [b"\x01", b"\x02\x03"]
    corpus.unpack(corpus.read("one"), tmp_path / "files")
    assert sorted(corpus.pack(tmp_path / "files")) == [b"\x01", b"\x02\x03"]
