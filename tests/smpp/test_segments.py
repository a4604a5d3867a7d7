"""The parts of a text fit, make the text again, and are cut where a reader would cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.alphabets import decode, septets
from smpp.constants import CommandId, EsmClass, Tag
from smpp.pdu import Message, encode
from smpp.segments import STYLES, Part, Style, split

letters = st.sampled_from(["a ", "a€ ", "aя ", "a🙂 \n"]).flatmap(lambda alphabet: st.text(alphabet, max_size=700))
styles = st.sampled_from(STYLES)
in_parts = st.sampled_from(["udh8", "udh16", "sar"])
ROOM = {"udh8": (153, 134), "udh16": (152, 132), "sar": (152, 132)}


def read(part: Part) -> str:
    return decode(part.data or part.tlvs.get(Tag.MESSAGE_PAYLOAD, b""), part.data_coding)


@given(letters, st.integers(0, 100_000), styles)
def test_the_parts_fit_and_make_the_text_again(text: str, reference: int, style: Style) -> None:
    parts = split(text, reference, style=style)
    assert "".join(map(read, parts)) == text
    # What GSM has travels as GSM, however Unicode it was before; what it has not never does.
    assert {part.data_coding for part in parts} == {8 if septets(text) is None else 0}
    if parts[0].tlvs.keys() == {Tag.MESSAGE_PAYLOAD}:
        assert (style, len(parts), parts[0].udh, parts[0].data) == ("payload", 1, b"", b"")
    elif len(parts) == 1:
        assert (parts[0].udh, parts[0].tlvs) == (b"", {})
        assert len(parts[0].data) <= (160 if parts[0].data_coding == 0 else 140)
    else:
        for part in parts:
            assert 0 < len(part.data) <= ROOM[style][0 if part.data_coding == 0 else 1]


@given(letters.map(lambda text: text + "a " * 90), st.integers(0, 100_000))
def test_each_part_says_in_one_way_which_it_is(text: str, reference: int) -> None:
    for number, part in enumerate(parts := split(text, reference), 1):
        assert part.tlvs == {}
        assert part.udh == bytes((5, 0, 3, reference & 0xFF, len(parts), number))
    wide = (reference & 0xFFFF).to_bytes(2, "big")
    for number, part in enumerate(parts := split(text, reference, style="udh16"), 1):
        assert part.tlvs == {}
        assert part.udh == bytes((6, 8, 4)) + wide + bytes((len(parts), number))
    for number, part in enumerate(parts := split(text, reference, style="sar"), 1):
        assert part.udh == b""
        assert part.tlvs == {0x20C: wide, 0x20E: bytes((len(parts),)), 0x20F: bytes((number,))}


@given(st.lists(st.text("abcя€🙂", min_size=1, max_size=30), min_size=1, max_size=60), in_parts)
def test_no_word_is_cut_that_fits_a_part(words: list[str], style: Style) -> None:
    parts = split(" ".join(words), 1, style=style)
    assert [word for part in parts for word in read(part).split()] == words


@given(letters, styles)
def test_every_part_makes_a_message(text: str, style: Style) -> None:
    for part in split(text, 7, style=style):
        message = part.into(Message(CommandId.SUBMIT_SM, esm_class=1, tlvs={0x0204: b"\0\1"}))
        encode(message)
        assert message.user_data == (part.data or part.tlvs.get(Tag.MESSAGE_PAYLOAD, b""))
        assert bool(message.esm_class & EsmClass.UDHI) is bool(part.udh)
        assert message.esm_class & 1
        assert message.tlvs[0x0204] == b"\0\1"
        assert not (message.short_message and Tag.MESSAGE_PAYLOAD in message.tlvs)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", [0]),
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("€" * 80, [160]),
        ("€" * 81, [152, 10]),
        ("я" * 70, [140]),
        ("я" * 71, [134, 8]),
        ("🙂" * 35, [140]),
        ("🙂" * 36, [132, 12]),
        ("a" * 153 + " b" * 4, [153, 8]),
    ],
)
def test_limits(text: str, lengths: list[int]) -> None:
    assert [len(part.data) for part in split(text, 1)] == lengths


@pytest.mark.parametrize("style", ["udh16", "sar"])
@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("a" * 161, [152, 9]),
        ("a" + "€" * 80, [151, 10]),
        ("я" * 71, [132, 10]),
        ("я" + "🙂" * 35, [130, 12]),
    ],
)
def test_limits_beside_a_wide_reference(text: str, lengths: list[int], style: Style) -> None:
    assert [len(part.data) for part in split(text, 1, style=style)] == lengths


def test_the_accounts_codings_are_used() -> None:
    assert split("a", 1, gsm_coding=0x0F)[0].data_coding == 0x0F
    assert split("я", 1, ucs2_coding=0x18)[0].data_coding == 0x18


def test_a_text_in_the_accounts_own_alphabet_is_cut_by_the_septets_that_it_will_be() -> None:
    parts = split("{" * 100, 1, default="latin-1")  # 100 octets, 200 septets
    assert [part.data for part in parts] == [b"{" * 76, b"{" * 24]
    assert split("@é" * 80, 1, default="latin-1") == [Part(b"", b"@\xe9" * 80, 0)]


@pytest.mark.parametrize(("style", "room"), [("udh8", 153), ("udh16", 152), ("sar", 152), ("payload", 152)])
def test_more_parts_than_a_header_can_count_are_refused(style: Style, room: int) -> None:
    assert len(split("a" * room * 255, 1, style=style)) == (1 if style == "payload" else 255)
    with pytest.raises(ValueError):
        split("a" * (room * 255 + 1), 1, style=style)
