"""The parts of a text fit, make the text again, and are cut where a reader would cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.alphabets import decode
from smpp.segments import Part, split

letters = st.sampled_from(["a ", "a€ ", "aя ", "a🙂 \n"]).flatmap(lambda alphabet: st.text(alphabet, max_size=700))


def read(part: Part) -> str:
    return decode(part.data, part.data_coding)


@given(letters, st.integers(0, 10_000))
def test_the_parts_fit_and_make_the_text_again(text: str, reference: int) -> None:
    parts = split(text, reference)
    assert "".join(map(read, parts)) == text
    if len(parts) == 1:
        assert parts[0].udh == b""
        assert len(parts[0].data) <= (160 if parts[0].data_coding == 0 else 140)
    else:
        for number, part in enumerate(parts, 1):
            assert part.udh == bytes((5, 0, 3, reference & 0xFF, len(parts), number))
            assert 0 < len(part.data) <= (153 if part.data_coding == 0 else 134)


@given(st.lists(st.text("abcя€🙂", min_size=1, max_size=30), min_size=1, max_size=60))
def test_no_word_is_cut_that_fits_a_part(words: list[str]) -> None:
    parts = split(" ".join(words), 1)
    assert [word for part in parts for word in read(part).split()] == words


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


def test_the_accounts_codings_are_used() -> None:
    assert split("a", 1, gsm_coding=0x0F)[0].data_coding == 0x0F
    assert split("я", 1, ucs2_coding=0x18)[0].data_coding == 0x18


def test_more_parts_than_a_header_can_count_are_refused() -> None:
    assert len(split("a" * 153 * 255, 1)) == 255
    with pytest.raises(ValueError):
        split("a" * (153 * 255 + 1), 1)
