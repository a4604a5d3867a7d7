"""Long messages as they come in: parts in any order, some twice, some never, until a text is whole.

What has come is a value, a tuple of `Letter`s with the oldest first, and the time is an argument: whoever keeps the
tuple decides how durable it is. A letter is known by its source, its destination, the way in which its parts are
marked, their reference and their total; parts that claim another total are another letter's, as for a phone
(3GPP TS 23.040 §9.2.3.24.1).

| the part | what becomes of it |
|---|---|
| is new | it is kept; with the last one the text is whole, and a memory of the letter stays to know repetitions by |
| came before, in a letter whole or not | nothing: a repetition |
| has the place of another with other octets | the letter that had it is lost: its reference is in use for a new one |
| is too old, or one too many | the oldest letters are lost, those that are whole without harm |
"""

from typing import Final, Literal, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from smpp import alphabets
from smpp.alphabets import Alphabet, alphabet_of
from smpp.constants import EsmClass, Tag
from smpp.pdu import Message

Way: TypeAlias = Literal["udh8", "udh16", "sar"]

_UDHI: Final = int(EsmClass.UDHI)
_REFERENCE, _TOTAL, _NUMBER = int(Tag.SAR_MSG_REF_NUM), int(Tag.SAR_TOTAL_SEGMENTS), int(Tag.SAR_SEGMENT_SEQNUM)
_WAYS: Final[dict[tuple[int, int], Way]] = {(0x00, 3): "udh8", (0x08, 4): "udh16"}
"""The information elements of parts, with their length in octets (TS 23.040 §9.2.3.24.1, §9.2.3.24.8)."""


class Mark(NamedTuple):
    """Which part of a long message this is: `number` counts from 1 to `total`."""

    way: Way
    reference: int
    total: int
    number: int


class Part(msgspec.Struct, frozen=True, gc=False):
    """A part as it came, without its header."""

    source: str
    destination: str
    mark: Mark
    data: bytes
    alphabet: Alphabet


class Limits(NamedTuple):
    """What may be unfinished at once: letters, letters of one source, octets of text; and for how long (ms)."""

    letters: int
    per_source: int
    octets: int
    age_ms: int


class Piece(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part's text in a letter."""

    data: bytes
    alphabet: Alphabet


class Letter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message of which parts have come: its pieces by number, or once it was whole their checksums in order.

    `since` is when its first part came (ms). The form is stored: fields are only appended.
    """

    source: str
    destination: str
    way: Way
    reference: int
    total: int
    since: int
    pieces: dict[int, Piece] = {}
    finished: tuple[int, ...] = ()

    @property
    def octets(self) -> int:
        """How much text has come, in octets."""
        return sum(len(piece.data) for piece in self.pieces.values())


Reason: TypeAlias = Literal["expired", "crowded", "replaced"]


class Lost(NamedTuple):
    """A letter that will not be whole any more: too old, too much beside it, or its reference is in use again."""

    letter: Letter
    reason: Reason


class Taken(NamedTuple):
    """What there is after a part: the letters, the text where it is whole, and the letters that were lost by it.

    `repeated` says that the part was known already, `began` that it is the first of a letter.
    """

    letters: tuple[Letter, ...]
    text: str | None = None
    repeated: bool = False
    began: bool = False
    lost: tuple[Lost, ...] = ()


def mark_of(message: Message) -> Mark | None:
    """Find which part of a long message this is by its user data header, or else its SAR TLVs; None for a whole one.

    A mark that makes no sense (no parts, one part, a part beyond the last) is none at all (TS 23.040 §9.2.3.24.1).
    """
    payload = message.payload
    mark = None
    if message.esm_class & _UDHI and payload:
        mark = _by_header(payload[1 : payload[0] + 1])
    if mark is None and message.tlvs:
        reference = message.integer(_REFERENCE)
        total, number = message.integer(_TOTAL), message.integer(_NUMBER)
        if reference is not None and total is not None and number is not None:
            mark = Mark("sar", reference, total, number)
    return mark if mark is not None and mark.total > 1 and 0 < mark.number <= mark.total <= 255 else None


def _by_header(header: bytes) -> Mark | None:
    """Walk the information elements of a user data header for the one that marks parts."""
    at = 0
    while at + 2 <= len(header):
        value = header[at + 2 : at + 2 + header[at + 1]]
        way = _WAYS.get((header[at], len(value)))
        if way is not None:
            return Mark(way, int.from_bytes(value[:-2], "big"), value[-2], value[-1])
        at += 2 + header[at + 1]
    return None


def part_of(message: Message, source: str, default: Alphabet = "gsm") -> Part | None:
    """Return a message as a part of a long one, None where it is whole by itself.

    `default` is the alphabet of data_coding 0 and of those that nobody assigned.
    """
    mark = mark_of(message)
    if mark is None:
        return None
    return Part(source, message.destination_addr, mark, message.user_data, alphabet_of(message.data_coding, default))


def take(letters: tuple[Letter, ...], part: Part, now: int, limits: Limits) -> Taken:
    """Put a part where it belongs."""
    letters, lost = expire(letters, now, limits.age_ms)
    piece, number = Piece(part.data, part.alphabet), part.mark.number
    letter = next((letter for letter in letters if _belongs(part, letter)), None)
    if letter is not None and _has(letter, number, piece):
        return Taken(letters, repeated=True, lost=lost)
    if letter is not None and (letter.finished or number in letter.pieces):
        letters = _without(letter, letters)
        lost = lost if letter.finished else (*lost, Lost(letter, "replaced"))
        letter = None
    began = letter is None
    if letter is None:
        letter = Letter(part.source, part.destination, part.mark.way, part.mark.reference, part.mark.total, now)
        letters = (*letters, letter)
    grown = msgspec.structs.replace(letter, pieces={**letter.pieces, number: piece})
    text = None
    if len(grown.pieces) == grown.total:
        pieces = [grown.pieces[each] for each in range(1, grown.total + 1)]
        text = read(pieces)
        grown = msgspec.structs.replace(grown, pieces={}, finished=tuple(map(_checksum, pieces)))
    letters = tuple(grown if other is letter else other for other in letters)
    letters, crowded = _fit(letters, part.source, limits)
    return Taken(letters, text, began=began, lost=lost + crowded)


def expire(letters: tuple[Letter, ...], now: int, age_ms: int) -> tuple[tuple[Letter, ...], tuple[Lost, ...]]:
    """Return the letters that are not too old, and those that are lost by their age."""
    old = [letter for letter in letters if now - letter.since >= age_ms]
    if not old:
        return letters, ()
    kept = tuple(letter for letter in letters if now - letter.since < age_ms)
    return kept, tuple(Lost(letter, "expired") for letter in old if not letter.finished)


def read(pieces: list[Piece]) -> str:
    """Return the text of all pieces.

    Where they are of one alphabet their octets are joined first: a sender may cut inside a character. An odd octet
    that joins nothing in UCS-2 is left out.
    """
    octets = b"".join(piece.data for piece in pieces)
    used = {piece.alphabet for piece in pieces}
    if len(used) == 1 and not ("ucs2" in used and len(octets) % 2):
        return alphabets.read(octets, pieces[0].alphabet)
    return "".join(read_one(piece.data, piece.alphabet) for piece in pieces)


def read_one(data: bytes, alphabet: Alphabet) -> str:
    """Return the text of a message that is whole by itself, or of a part alone; as `read` does."""
    if alphabet == "ucs2" and len(data) % 2:
        data = data[:-1]
    return alphabets.read(data, alphabet)


def _belongs(part: Part, letter: Letter) -> bool:
    return (letter.way, letter.reference, letter.total) == part.mark[:3] and (letter.source, letter.destination) == (
        part.source,
        part.destination,
    )


def _without(letter: Letter, letters: tuple[Letter, ...]) -> tuple[Letter, ...]:
    return tuple(other for other in letters if other is not letter)


def _has(letter: Letter, number: int, piece: Piece) -> bool:
    if letter.finished:
        return letter.finished[number - 1] == _checksum(piece)
    return letter.pieces.get(number) == piece


def _checksum(piece: Piece) -> int:
    return crc32(piece.data, crc32(piece.alphabet.encode()))


def _fit(letters: tuple[Letter, ...], source: str, limits: Limits) -> tuple[tuple[Letter, ...], tuple[Lost, ...]]:
    """Take away as many letters as there are too many: memories of whole ones first, then the oldest."""
    lost: list[Lost] = []
    while True:
        of_source = [letter for letter in letters if letter.source == source]
        if len(of_source) > limits.per_source:
            among = of_source
        elif len(letters) > limits.letters:
            among = list(letters)
        elif sum(letter.octets for letter in letters) > limits.octets:
            among = [letter for letter in letters if not letter.finished]
        else:
            return letters, tuple(lost)
        oldest = next((letter for letter in among if letter.finished), among[0])
        letters = _without(oldest, letters)
        if not oldest.finished:
            lost.append(Lost(oldest, "crowded"))
