"""A sealed entry opens with the server's key, whole or not at all, and its length tells nothing."""

import base64
import json
import string
import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey, PublicKey, SealedBox

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals.sealing import BOX_LENGTH, RECORD_SIZE, Entry, Unreadable, seal, unseal

PRIVATE = Secret(bytes(range(32)))
PUBLIC = bytes(PrivateKey(bytes(range(32))).public_key)
CODE = "90417263"
ENTRY = Entry("79101234567", Secret(CODE), "hall-1", "5f0c9a1e", 1_763_881_200_000, "a" * 22)
BOX = seal(ENTRY, PUBLIC)

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
ENTRIES = st.builds(
    Entry,
    st.text(string.digits, min_size=7, max_size=15),
    st.text(PRINTABLE, max_size=32).map(Secret),
    st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=32),
    st.text(PRINTABLE, min_size=1, max_size=64),
    st.integers(0, 2**53),
    st.text(PRINTABLE, max_size=32),
)


def boxed(plain: bytes) -> str:
    """Seal octets as a terminal with other software might."""
    return base64.b64encode(SealedBox(PublicKey(PUBLIC)).encrypt(plain)).decode()


def record(**changes: Any) -> bytes:
    """Return a record as the documentation has it, made without the code under test."""
    fields = {
        "v": 1,
        "msisdn": ENTRY.msisdn,
        "code": CODE,
        "terminal": ENTRY.terminal,
        "attempt": ENTRY.attempt,
        "iat": ENTRY.iat,
        "nonce": ENTRY.nonce,
    } | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


@given(ENTRIES)
def test_what_was_sealed_is_read_and_its_length_tells_nothing(entry: Entry) -> None:
    box = seal(entry, PUBLIC)
    assert len(box) == BOX_LENGTH
    assert unseal(box, PRIVATE) == entry


def test_the_longest_fields_fit_even_if_every_character_is_escaped() -> None:
    entry = Entry("7" * 15, Secret('"' * 32), "-" * 32, "\\" * 64, 2**53, '"' * 32)
    assert unseal(seal(entry, PUBLIC), PRIVATE) == entry


def test_the_same_entry_makes_another_box_each_time() -> None:
    assert seal(ENTRY, PUBLIC) != BOX


def test_other_software_may_write_the_documented_record() -> None:
    assert unseal(boxed(record().ljust(RECORD_SIZE)), PRIVATE) == ENTRY


@given(st.integers(0, RECORD_SIZE + 48 - 1), st.integers(1, 255))
def test_any_altered_octet_makes_it_unreadable(place: int, flip: int) -> None:
    octets = bytearray(base64.b64decode(BOX))
    octets[place] ^= flip
    assert unseal(base64.b64encode(octets).decode(), PRIVATE) == Unreadable()


@given(st.integers(0, BOX_LENGTH - 1), st.characters())
def test_any_altered_character_makes_it_unreadable(place: int, character: str) -> None:
    altered = BOX[:place] + character + BOX[place + 1 :]
    assert unseal(altered, PRIVATE) == (ENTRY if altered == BOX else Unreadable())


@given(st.text(st.characters()) | st.text(string.ascii_letters + "+/=", min_size=BOX_LENGTH, max_size=BOX_LENGTH))
def test_any_text_is_taken_without_an_exception(text: str) -> None:
    assert unseal(text, PRIVATE) == Unreadable()


@given(st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE))
def test_any_octets_inside_are_taken_without_an_exception(plain: bytes) -> None:
    assert unseal(boxed(plain), PRIVATE) == Unreadable()


@pytest.mark.parametrize(
    "plain",
    [
        record(),
        record().ljust(RECORD_SIZE - 3),
        record().ljust(RECORD_SIZE + 3),
        record().ljust(RECORD_SIZE * 1000),
        b"",
    ],
)
def test_only_a_record_of_the_fixed_size_is_read(plain: bytes) -> None:
    assert unseal(boxed(plain), PRIVATE) == Unreadable()


@pytest.mark.parametrize(
    "plain",
    [
        record(v=2),
        record(v=None),
        record(v="1"),
        record(more=1),
        record(code=None),
        record(code=90417263),
        record(code=[CODE]),
        record(msisdn=79101234567),
        record(iat="1763881200000"),
        record(iat=-1),
        record(iat=2**53 + 1),
        record(iat=10**400),
        record(iat=1.5),
        record(nonce=None),
        record() + b"{}",
        b"[" * RECORD_SIZE,
        b'{"v":' + b"[" * 400,
        record().replace(b"hall-1", b"\xff\xfe"),
    ],
)
def test_what_is_no_record_of_this_version_is_unreadable(plain: bytes) -> None:
    assert unseal(boxed(plain.ljust(RECORD_SIZE)), PRIVATE) == Unreadable()


def test_another_key_opens_nothing() -> None:
    assert unseal(BOX, Secret(bytes(32))) == Unreadable()


@pytest.mark.parametrize(
    "changes",
    [
        {"code": Secret("9" * 33)},
        {"code": Secret("９０４１７２６３")},
        {"code": Secret("\ud800")},
        {"code": Secret("9\n")},
        {"msisdn": "7" * 16},
        {"terminal": "a" * 33},
        {"attempt": "a" * 65},
        {"attempt": "é"},
        {"nonce": "a" * 33},
        {"iat": -1},
        {"iat": 2**53 + 1},
    ],
)
def test_fields_that_no_request_has_are_refused_without_showing_them(changes: dict[str, Any]) -> None:
    entry = msgspec.structs.replace(ENTRY, **changes)
    with pytest.raises(ValueError, match="printable ASCII and short") as caught:
        seal(entry, PUBLIC)
    assert caught.value.__context__ is None
    assert entry.code.reveal() not in str(caught.value)


def test_the_code_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CODE not in repr(ENTRY) + repr(unseal(BOX, PRIVATE))

    def broken(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(SealedBox, "encrypt", broken)
    with pytest.raises(MemoryError) as caught:
        seal(ENTRY, PUBLIC)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = "".join(shown.format())
    assert "Secret(***)" in frames
    # The innermost frame is the library's (here the test's own), which holds the plain text; ours do not.
    assert CODE not in frames.partition("in broken")[0]
