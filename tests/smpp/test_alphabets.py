"""Texts survive their alphabets, lengths are what the octets say, and no octets make the reader raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.alphabets import Alphabet, alphabet_of, choose, decode, encode, septets, ucs2_units

GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
gsm_texts = st.text(GSM + EXTENSION)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(gsm_texts)
def test_gsm_text_is_chosen_survives_and_is_measured(text: str) -> None:
    encoded = choose(text, gsm_coding=0x0F)
    assert (encoded.alphabet, encoded.data_coding) == ("gsm", 0x0F)
    assert decode(encoded.data, encoded.data_coding) == text
    assert septets(text) == len(encoded.data) == len(text) + sum(text.count(character) for character in EXTENSION)
    assert max(encoded.data, default=0) < 128


@given(texts.filter(lambda text: set(text) - set(GSM + EXTENSION)))
def test_any_other_text_is_ucs2_survives_and_is_measured(text: str) -> None:
    encoded = choose(text, ucs2_coding=0x48)
    assert (encoded.alphabet, encoded.data_coding) == ("ucs2", 0x48)
    assert decode(encoded.data, encoded.data_coding) == text
    assert septets(text) is None
    assert ucs2_units(text) * 2 == len(encoded.data)


@given(texts, st.sampled_from(["ascii", "latin-1", "iso-8859-5", "iso-8859-8"]))
def test_where_the_gsm_coding_means_another_alphabet_the_text_is_written_in_that(text: str, default: Alphabet) -> None:
    encoded = choose(text, default=default)
    assert decode(encoded.data, encoded.data_coding, default) == text
    assert encoded.alphabet in (default, "ucs2")
    assert (encoded.alphabet == "ucs2") is (encoded.data_coding == 8)
    if encoded.alphabet == default:
        assert septets(text) is not None, "it would not fit where its septets were not counted"
    assert choose(text, gsm_coding=0x0F, default=default) == choose(text, gsm_coding=0x0F)


def test_an_alphabet_is_named_by_its_coding_or_the_accounts() -> None:
    assert alphabet_of(0x0F, "latin-1") == "gsm"
    assert alphabet_of(0, "latin-1") == "latin-1"
    assert alphabet_of(0x48) == "ucs2"


@given(st.binary(), st.integers(0, 255), st.sampled_from(["gsm", "ucs2", "ascii", "latin-1", "iso-8859-5"]))
def test_any_octets_in_any_coding_read_as_something(data: bytes, coding: int, default: Alphabet) -> None:
    decode(data, coding, default).encode("utf-8")


@given(st.text(), st.sampled_from(["gsm", "ucs2", "ascii", "latin-1", "iso-8859-5", "iso-8859-8"]))
def test_any_text_can_be_written_in_any_alphabet(text: str, alphabet: Alphabet) -> None:
    encode(text, alphabet)


@pytest.mark.parametrize(
    ("data", "coding", "text"),
    [
        (b"*111#", 0x00, "*111#"),
        (b"\x00", 0x00, "@"),
        (b"\x02\x1b\x65\x11", 0x0F, "$€_"),
        (b"\x1b\x41", 0xF1, "A"),
        (b"\x1b\x1b", 0x00, " "),
        (b"a\x1b", 0x00, "a"),
        (b"\x80", 0x00, "\ufffd"),
        (b"$@", 0x01, "$@"),
        (b"\xe9", 0x03, "é"),
        (b"\xbf\xe0", 0x06, "Пр"),
        (b"\xe0", 0x07, "א"),
        (b"\x04\x1f", 0x08, "П"),
        (b"\x04\x1f", 0x48, "П"),
        (b"\x04\x1f", 0x19, "П"),
        (b"\x04\x1f\x04", 0x08, "П\ufffd"),
        (b"\xd8\x3d\xde\x00", 0x08, "\N{GRINNING FACE}"),
        (b"\x00\xff", 0x04, "\x00\xff"),
        (b"\x00\xff", 0xF5, "\x00\xff"),
    ],
)
def test_data_coding_says_how_octets_read(data: bytes, coding: int, text: str) -> None:
    assert decode(data, coding) == text


def test_the_accounts_alphabet_is_for_coding_0_and_for_what_nobody_assigned() -> None:
    assert decode(b"\x24", 0x00, "latin-1") == "$"
    assert decode(b"\x24", 0x0F, "latin-1") == "¤"
    assert decode(b"\x04\x1f", 0x55, "ucs2") == "П"


@pytest.mark.parametrize(
    ("text", "alphabet", "data"),
    [("aЖ€", "gsm", b"a?\x1b\x65"), ("aЖ", "ascii", b"a?"), ("Ж", "iso-8859-5", b"\xb6"), ("\ud800", "ucs2", b"\0?")],
)
def test_a_character_that_an_alphabet_lacks_becomes_a_question_mark(text: str, alphabet: Alphabet, data: bytes) -> None:
    assert encode(text, alphabet) == data
