"""What cannot be decoded is told of with its octets, whatever they are."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.stores.damaged import DAMAGED, tolerant

DECODERS = {
    "json": msgspec.json.Decoder(dict[str, Any]).decode,
    "msgpack": msgspec.msgpack.Decoder(dict[str, Any]).decode,
}
ENCODERS = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}

data = st.dictionaries(st.text(max_size=5), st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=9), max_size=4)


@pytest.mark.parametrize("form", DECODERS)
@given(data, st.binary(max_size=40), st.data())
def test_no_octets_stop_who_reads_and_none_are_lost(form: str, whole: Any, any: bytes, draw: st.DataObject) -> None:
    decode = tolerant(DECODERS[form])
    kept = ENCODERS[form](whole)
    assert decode(kept) == whole
    cut = kept[: draw.draw(st.integers(0, len(kept) - 1))]
    for octets in (cut, any, kept + any):
        found = decode(octets)
        if DAMAGED in found:
            assert base64.b64decode(found[DAMAGED]) == octets


@pytest.mark.parametrize("form", DECODERS)
@pytest.mark.parametrize(
    "octets", [b"", b'{"fr', b'{"a":"\xff"}', b"\x81\xa1a\xa1\xff", b"[]", b"[" * 99_999, b"\x91" * 99_999]
)
def test_what_is_no_data_is_damaged(form: str, octets: bytes) -> None:
    assert tolerant(DECODERS[form])(octets) == {DAMAGED: base64.b64encode(octets).decode()}
