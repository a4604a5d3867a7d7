"""Parts become the text that was cut, in whatever order and however often they come; nothing goes without a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smpp.alphabets import Alphabet
from smpp.constants import CommandId
from smpp.pdu import Message
from smpp.reassembly import Letter, Limits, Lost, Mark, Part, Piece, expire, mark_of, part_of, read, take
from smpp.segments import Style, split
from tests.smpp.strategies import long_messages

HOUR = 3_600_000
LIMITS = Limits(letters=64, per_source=8, octets=40_000, age_ms=HOUR)
styles = st.sampled_from(["udh8", "udh16", "sar"])
texts = st.sampled_from(["a ", "a€ ", "aя ", "a🙂 \n"]).flatmap(
    lambda alphabet: st.text(alphabet, max_size=500).map(lambda text: text + "я " * 40 if "я" in alphabet else text)
)


def deliver(text: str, reference: int = 1, style: Style = "udh8", source: str = "7910") -> list[Part]:
    """Return the parts of a text as they come in."""
    bare = Message(CommandId.DELIVER_SM, source_addr=source, destination_addr="111")
    parts = [part_of(part.into(bare), source) for part in split(text, reference, style=style)]
    return [part for part in parts if part is not None]


def run(parts: list[Part], limits: Limits = LIMITS, now: int = 0) -> tuple[list[str], list[Lost], tuple[Letter, ...]]:
    letters: tuple[Letter, ...] = ()
    found: list[str] = []
    lost: list[Lost] = []
    for part in parts:
        taken = take(letters, part, now, limits)
        letters = taken.letters
        lost += taken.lost
        if taken.text is not None:
            found.append(taken.text)
    return found, lost, letters


@given(texts.map(lambda text: text + "a " * 90), styles, st.data())
def test_a_text_is_whole_once_all_parts_came_in_any_order_some_twice(
    text: str, style: Style, data: st.DataObject
) -> None:
    parts = deliver(text, style=style)
    again = data.draw(st.lists(st.sampled_from(parts), max_size=4))
    found, lost, _ = run(data.draw(st.permutations(parts + again)))
    assert (found, lost) == ([text], [])


@given(
    st.binary(min_size=2, max_size=300),
    st.sampled_from(["gsm", "ucs2", "latin-1"]),
    st.lists(st.integers(1, 299), max_size=4),
)
def test_cuts_inside_a_character_are_healed(octets: bytes, coding: Alphabet, cuts: list[int]) -> None:
    octets = octets[: len(octets) & ~1]
    places = sorted({cut for cut in cuts if cut < len(octets)})
    pieces = [octets[start:end] for start, end in zip([0, *places], [*places, len(octets)], strict=True)]
    assert read([Piece(piece, coding) for piece in pieces]) == read([Piece(octets, coding)])


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([(b"a\x1b", "gsm"), (b"\x65b", "gsm")], "a€b"),
        ([("a🙂".encode("utf-16-be")[:4], "ucs2"), ("a🙂".encode("utf-16-be")[4:], "ucs2")], "a🙂"),
        ([(b"\x04", "ucs2"), (b"\x1f\x04\x40", "ucs2")], "Пр"),
        ([("Пр".encode("utf-16-be"), "ucs2"), (b"abc", "gsm")], "Прabc"),
        ([(b"a\0", "latin-1"), (b"b", "latin-1")], "a\0b"),
        ([("Пр".encode("utf-16-be") + b"\0", "ucs2"), ("и".encode("utf-16-be"), "ucs2")], "При"),
        ([("Пр".encode("utf-16-be") + b"\0", "ucs2"), (b"abc", "gsm")], "Прabc"),
        ([(b"", "gsm"), (b"", "gsm")], ""),
    ],
)
def test_pieces_are_read_together_where_they_are_of_one_alphabet(
    pieces: list[tuple[bytes, Alphabet]], text: str
) -> None:
    assert read([Piece(*piece) for piece in pieces]) == text


@pytest.mark.parametrize(
    ("esm_class", "header", "mark"),
    [
        (0x40, "050003070201", Mark("udh8", 7, 2, 1)),
        (0x41, "060804010702ff", None),
        (0x40, "06080401070202", Mark("udh16", 0x107, 2, 2)),
        (0x40, "0b0504158a00000003070301", Mark("udh8", 7, 3, 1)),
        (0x00, "050003070201", None),
        (0x40, "050003070001", None),
        (0x40, "050003070200", None),
        (0x40, "050003070203", None),
        (0x40, "050003070101", None),
        (0x40, "0400030702", None),
        (0x40, "050001070201", None),
        (0x40, "0500030702", None),
        (0x40, "ff", None),
        (0x40, "", None),
    ],
)
def test_a_header_marks_a_part_where_it_makes_sense(esm_class: int, header: str, mark: Mark | None) -> None:
    message = Message(CommandId.DELIVER_SM, esm_class=esm_class, short_message=bytes.fromhex(header))
    assert mark_of(message) == mark


@pytest.mark.parametrize(
    ("reference", "total", "index", "mark"),
    [
        (b"\1\7", b"\2", b"\1", Mark("sar", 0x107, 2, 1)),
        (b"\7", b"\2", b"\2", Mark("sar", 7, 2, 2)),
        (b"\0\7", b"\0", b"\1", None),
        (b"\0\7", b"\2", b"\3", None),
        (b"\0\7", b"\2", b"", None),
        (b"\0\7", b"\x01\x00", b"\1", None),
    ],
)
def test_tlvs_mark_a_part_where_they_make_sense(
    reference: bytes, total: bytes, index: bytes, mark: Mark | None
) -> None:
    tlvs = {0x20C: reference, 0x20E: total, 0x20F: index}
    assert mark_of(Message(CommandId.DELIVER_SM, short_message=b"a", tlvs=tlvs)) == mark
    header = bytes.fromhex("050003090302")
    both = Message(CommandId.DELIVER_SM, esm_class=0x40, short_message=header, tlvs=tlvs)
    assert mark_of(both) == Mark("udh8", 9, 3, 2)


@given(long_messages, st.dictionaries(st.sampled_from([0x20C, 0x20E, 0x20F]), st.binary(max_size=3)))
def test_nothing_makes_the_reader_raise(message: Message, tlvs: dict[int, bytes]) -> None:
    message.tlvs.update(tlvs)
    part = part_of(message, message.source_addr)
    if part is not None:
        assert 0 < part.mark.number <= part.mark.total
        take((), part, 0, LIMITS)


def test_an_accounts_alphabet_is_that_of_its_parts() -> None:
    message = Message(CommandId.DELIVER_SM, esm_class=0x40, short_message=bytes.fromhex("05000307020124"))
    part = part_of(message, "7910", "latin-1")
    assert part is not None
    assert read([Piece(part.data, part.alphabet)]) == "$"


def test_totals_references_ways_and_addresses_tell_letters_apart() -> None:
    first = deliver("a " * 100)
    others = [
        deliver("b " * 200),
        deliver("b " * 100, reference=2),
        deliver("b " * 100, style="udh16"),
        deliver("b " * 100, source="7911"),
    ]
    for other in others:
        mixed = [part for pair in zip(first, other, strict=False) for part in pair] + other[len(first) :]
        found, lost, _ = run(mixed)
        assert (sorted(text[0] for text in found), lost) == (["a", "b"], [])


def test_a_reference_in_use_again_begins_a_new_letter() -> None:
    old, new = deliver("a " * 200), deliver("b " * 200)
    found, lost, _ = run([old[0], *new, old[1]])
    assert found == ["b " * 200]
    assert [(each.reason, len(each.letter.pieces)) for each in lost] == [("replaced", 1)]
    # The letter was whole: nothing of it is lost, and what comes with its reference is new.
    found, lost, _ = run([*old, *new])
    assert (found, lost) == (["a " * 200, "b " * 200], [])


def test_a_repetition_after_the_whole_is_known_until_it_is_too_old() -> None:
    parts = deliver("a " * 100)
    _, _, letters = run(parts)
    taken = take(letters, parts[1], HOUR - 1, LIMITS)
    assert (taken.repeated, taken.text, taken.letters) == (True, None, letters)
    late = take(letters, parts[1], HOUR, LIMITS)
    assert not late.repeated
    assert [len(letter.pieces) for letter in late.letters] == [1]


def test_what_is_too_old_is_lost() -> None:
    _, _, letters = run(deliver("a " * 100)[:1])
    assert expire(letters, HOUR - 1, HOUR) == (letters, ())
    assert expire(letters, HOUR, HOUR) == ((), (Lost(letters[0], "expired"),))
    taken = take(letters, deliver("a " * 100)[1], HOUR, LIMITS)
    assert taken.text is None
    assert taken.lost == (Lost(letters[0], "expired"),)


def test_a_thousand_open_letters_stay_bounded_and_the_oldest_goes_first() -> None:
    for sources in (1, 10, 1000):
        parts = [deliver("a " * 100, n, "udh16", source=f"79{n % sources}")[0] for n in range(1000)]
        _, lost, letters = run(parts)
        kept = min(LIMITS.letters, sources * LIMITS.per_source)
        assert [letter.reference for letter in letters] == list(range(1000))[-kept:]
        assert [each.letter.reference for each in lost] == list(range(1000 - kept))
        assert {each.reason for each in lost} == {"crowded"}


def test_octets_are_bounded_even_of_one_letter() -> None:
    small = Limits(letters=8, per_source=8, octets=300, age_ms=HOUR)
    one, other = deliver("a " * 100, 1), deliver("b " * 100, 2)
    _, lost, letters = run([one[0], other[0]], small)
    assert ([each.letter.reference for each in lost], [letter.reference for letter in letters]) == ([1], [2])
    huge = Part("7910", "111", Mark("udh8", 3, 2, 1), bytes(301), "latin-1")
    _, lost, letters = run([huge], small)
    assert ([each.letter.reference for each in lost], letters) == ([3], ())


def test_memories_of_whole_letters_go_before_unfinished_ones() -> None:
    small = Limits(letters=2, per_source=2, octets=10_000, age_ms=HOUR)
    _, lost, letters = run([deliver("a " * 100, 1)[0], *deliver("b " * 100, 2), deliver("c " * 100, 3)[0]], small)
    assert ([letter.reference for letter in letters], lost) == ([1, 3], [])


class Reassembling(RuleBasedStateMachine):
    """Many senders at once: what goes in is in a letter, in a text, or said to be lost; and never more than allowed."""

    LIMITS = Limits(letters=4, per_source=2, octets=1_500, age_ms=1000)

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.letters: tuple[Letter, ...] = ()
        # What each open letter must hold, in the model's own words: by key, the octets of its parts.
        self.open: dict[tuple[object, ...], dict[int, bytes]] = {}
        self.began: dict[tuple[object, ...], int] = {}
        self.whole: dict[tuple[object, ...], tuple[int, dict[int, bytes]]] = {}

    @rule(
        source=st.sampled_from(["7910", "7911", "7912"]),
        reference=st.integers(1, 3),
        letter=st.sampled_from("ab"),
        total=st.integers(2, 3),
        index=st.integers(1, 3),
    )
    def deliver(self, source: str, reference: int, letter: str, total: int, index: int) -> None:
        """Let a part come."""
        data = f"{letter}{index}".encode() * 60
        part = Part(source, "111", Mark("udh8", reference, total, min(index, total)), data, "gsm")
        self.drop_old()
        taken = take(self.letters, part, self.now, self.LIMITS)
        self.letters = taken.letters
        self.check(part, taken.text, taken.repeated, taken.lost)

    @rule(ms=st.integers(1, 600))
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now += ms

    def drop_old(self) -> None:
        """Forget what is too old, and see that the same is said to be lost."""
        self.letters, lost = expire(self.letters, self.now, self.LIMITS.age_ms)
        old = {key for key, since in self.began.items() if self.now - since >= self.LIMITS.age_ms}
        assert {key_of(each.letter) for each in lost} == old
        for key in old:
            del self.open[key], self.began[key]

    def check(self, part: Part, text: str | None, repeated: bool, lost: tuple[Lost, ...]) -> None:
        """Do the same to the model."""
        key = (part.source, part.mark.reference, part.mark.total)
        index = part.mark.number
        finished = self.whole.get(key)
        if finished is not None and self.now - finished[0] < self.LIMITS.age_ms and finished[1][index] == part.data:
            if repeated:
                return
            del self.whole[key]  # its memory had to go: a new letter
        elif self.open.get(key, {}).get(index) == part.data:
            assert repeated
            return
        assert not repeated
        for each in lost:
            gone = self.open.pop(key_of(each.letter))
            del self.began[key_of(each.letter)]
            assert {at: piece.data for at, piece in each.letter.pieces.items()} == gone
            assert (each.reason == "replaced") == (key_of(each.letter) == key)
        self.whole.pop(key, None)
        pieces = self.open.setdefault(key, {})
        self.began.setdefault(key, self.now)
        pieces[index] = part.data
        if len(pieces) == part.mark.total:
            assert text == "".join(pieces[at].decode() for at in sorted(pieces))
            self.whole[key] = self.began.pop(key), self.open.pop(key)
        else:
            assert text is None

    @invariant()
    def nothing_is_missing_or_too_much(self) -> None:
        """What is open is what the model has, within the limits."""
        unfinished = {key_of(letter): letter for letter in self.letters if not letter.finished}
        assert {
            key: {at: piece.data for at, piece in letter.pieces.items()} for key, letter in unfinished.items()
        } == self.open
        assert len(self.letters) <= self.LIMITS.letters
        assert sum(letter.octets for letter in self.letters) <= self.LIMITS.octets
        for source in ("7910", "7911", "7912"):
            assert sum(letter.source == source for letter in self.letters) <= self.LIMITS.per_source


def key_of(letter: Letter) -> tuple[object, ...]:
    """Return what tells letters of the model apart."""
    return letter.source, letter.reference, letter.total


TestReassembling = Reassembling.TestCase
