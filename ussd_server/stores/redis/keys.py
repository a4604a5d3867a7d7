"""How the Redis store names its keys, and how values look in them. Pure.

PREFIX:{TAG}:s:MSISDN   version (8 octets) and record     PREFIX:{TAG}:all       who has a record
PREFIX:{TAG}:j:MSISDN   journal, newest last              PREFIX:{TAG}:due:LANE  who is next, and when (ms)
PREFIX:{TAG}:o:MSISDN   outbox, by id                     PREFIX:{TAG}:work      what is being performed, by whom
PREFIX:{TAG}:d:MSISDN   dead letters, by id               PREFIX:{TAG}:given-up, dead-kinds   who has any; how many
PREFIX:{TAG}:a:MSISDN   kept answers, by request          PREFIX:{TAG}:expiring  when they are over (ms)
PREFIX:{TAG}:pointers, pointing   whose commit answers a request; until when (ms)
PREFIX:{TAG}:nonces     when they are over (ms)           PREFIX:{TAG}:terminals version and record, by id
PREFIX:{TAG}:id         what no other bucket has, nor this one emptied: on a Cluster
PREFIX:{TAG}:brought    who came with a copy that is under way
PREFIX:{TAG}:LIST:set-aside:SHA1   what another program wrote where a list is; PREFIX:{TAG}:set-aside   all such keys
PREFIX:{TAG}:fence      why nothing may be changed: also PREFIX:{PREFIX}:fence
PREFIX:{PREFIX}:meta    layout, number of buckets, mark, noted keys; id: what no other store has, not even this emptied;
                        shares: that every bucket got its id; left: that fences and `brought` are not all the mark's
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ussd_server.stores.base import (
    EVERY_LANE,
    LANES,
    Claimed,
    DeadLetter,
    Everything,
    JournalEntry,
    KeptAnswer,
    OutboxEntry,
    Standing,
    kept_of,
)
from ussd_server.stores.damaged import DAMAGED, UNDECODABLE, damaged, shown, tolerant
from ussd_server.stores.redis.buckets import slot, tags
from ussd_server.subscribers.record import Subscriber, encode

LAYOUT: Final = 1
"""Which version of the above it is."""

VERSION_OCTETS: Final = 8

Value: TypeAlias = bytes | str | int

_pack = msgspec.msgpack.Encoder().encode
_values = tolerant(msgspec.msgpack.Decoder(dict[str, Any]).decode)
_note = msgspec.msgpack.Decoder(tuple[int, str, dict[str, Any]]).decode
_kept = msgspec.msgpack.Decoder(tuple[bytes, bytes, int]).decode
_pair = msgspec.msgpack.Decoder(tuple[str, str]).decode


def packed(value: object) -> bytes:
    """Return a value as MessagePack; ValueError where it cannot be written."""
    try:
        return _pack(value)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"this can never be written: {error}") from None


def name(*parts: str) -> bytes:
    """Return two words as one, so that no two pairs are alike."""
    return packed(parts)


def pair(name: bytes) -> tuple[str, str]:
    """Return the two words of a name."""
    return _pair(name)


class Subject(NamedTuple):
    """The keys of one subscriber."""

    record: bytes
    journal: bytes
    outbox: bytes
    dead: bytes
    answers: bytes


class Bucket:
    """The keys of one bucket, by what they hold."""

    def __init__(self, number: int, prefix: bytes, tag: bytes) -> None:
        self.number = number
        self.slot = slot(tag)
        start = b"%b:{%b}:" % (prefix, tag)
        self._record, self._journal, self._outbox, self._dead, self._answers = (start + kind for kind in _PERSONAL)
        self.id = start + b"id"
        self.all = start + b"all"
        self.due = [start + b"due:%d" % lane for lane in EVERY_LANE]
        self.work = start + b"work"
        self.given_up = start + b"given-up"
        self.kinds = start + b"dead-kinds"
        self.expiring = start + b"expiring"
        self.pointers = start + b"pointers"
        self.pointing = start + b"pointing"
        self.nonces = start + b"nonces"
        self.terminals = start + b"terminals"
        self.ping = start + b"ping"
        self.brought = start + b"brought"
        self.fence = start + b"fence"
        self.aside = start + b"set-aside"
        self.common = (self.all, self.expiring, self.work, self.given_up, self.kinds, *self.due)
        """The keys that a commit with everything may change beside the subscriber's own."""

    def record(self, msisdn: bytes) -> bytes:
        """Return the key of a subscriber's record."""
        return self._record + msisdn

    def journal(self, msisdn: bytes) -> bytes:
        """Return the key of a subscriber's journal."""
        return self._journal + msisdn

    def outbox(self, msisdn: bytes) -> bytes:
        """Return the key of a subscriber's outbox."""
        return self._outbox + msisdn

    def dead(self, msisdn: bytes) -> bytes:
        """Return the key of a subscriber's dead letters."""
        return self._dead + msisdn

    def answers(self, msisdn: bytes) -> bytes:
        """Return the key of the answers that came with a subscriber's commits."""
        return self._answers + msisdn

    def subject(self, msisdn: bytes) -> Subject:
        """Return all keys of a subscriber."""
        return Subject(
            self._record + msisdn,
            self._journal + msisdn,
            self._outbox + msisdn,
            self._dead + msisdn,
            self._answers + msisdn,
        )


MADE_ANEW: Final = frozenset({"given_up", "kinds", "expiring"})
"""Lists of a bucket beside those of the outbox of which each subscriber's own keys tell what is in them."""

_PERSONAL: Final = (b"s:", b"j:", b"o:", b"d:", b"a:")


def meta_key(prefix: str) -> bytes:
    """Return the key that says how a store is laid out."""
    return f"{prefix}:{{{prefix}}}:meta".encode()


def fence_key(prefix: str) -> bytes:
    """Return the key that fences what the store notes of itself."""
    return f"{prefix}:{{{prefix}}}:fence".encode()


NEVER: Final = b":never"
"""Behind a fence's key, the key that is never there: who passes the fence looks for that."""


def every_bucket(prefix: str, buckets: int) -> list[Bucket]:
    """Return the buckets of a store by number."""
    return [Bucket(number, prefix.encode(), tag) for number, tag in enumerate(tags(buckets))]


def every_record(prefix: str) -> bytes:
    """Return the pattern that the keys of all records match, and few others."""
    return re.sub(rb"([\\*?\[\]^-])", rb"\\\1", prefix.encode()) + b":{*}:" + _PERSONAL[0] + b"*"


# Values -----------------------------------------------------------------------------------------------------------


def record(version: int, record: Subscriber) -> bytes:
    """Return a record of this version as it is kept; ValueError where it cannot be written."""
    try:
        return version.to_bytes(VERSION_OCTETS, "big") + encode(record)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"this change can never be written: {error}") from None


def note(entry: JournalEntry) -> bytes:
    """Return a journal entry as it is kept."""
    return packed((entry.at, entry.kind, entry.data))


def added_notes(entries: Sequence[JournalEntry], journal_entries: int) -> list[Value]:
    """Return journal entries as `notes.lua` takes them, each with its kind and how many of that are kept."""
    values: list[Value] = []
    for each in entries:
        values += (note(each), packed(each.kind), kept_of(each.kind, journal_entries))
    return values


def note_of(kept: bytes) -> JournalEntry:
    """Return the journal entry that is kept so; one of kind `DAMAGED`, at 0, where these octets are none."""
    try:
        return JournalEntry(*_note(kept))
    except UNDECODABLE:
        return JournalEntry(0, DAMAGED, damaged(kept))


def answer(kept: KeptAnswer) -> bytes:
    """Return an answer as it is kept under its name."""
    return packed((kept.fingerprint, kept.body, kept.expires))


def answer_of(terminal: str, key: str, kept: bytes) -> KeptAnswer:
    """Return the answer that is kept so."""
    return KeptAnswer(terminal, key, *_kept(kept))


def added(entry: OutboxEntry) -> tuple[Value, ...]:
    """Return an entry as `commit.lua` takes it."""
    tail = (entry.kind, entry.expires, entry.tried, packed(entry.data))
    return (entry.id, LANES[entry.kind], entry.due, *tail)


def entry_of(id: bytes, due: int, kind: bytes, expires: bytes, tried: int, data: bytes) -> OutboxEntry:
    """Return an entry from what the scripts tell of it."""
    return OutboxEntry(id.decode(), kind.decode(), due, _values(data), int(expires), tried)  # type: ignore[arg-type]


def claimed_of(row: Sequence[Any], lease: int) -> Claimed:
    """Return what was claimed from what `claim.lua` tells."""
    msisdn, id, attempt, due, kind, expires, tried, data, _ = row
    return Claimed(msisdn.decode(), entry_of(id, due, kind, expires, tried, data), attempt, lease)


def letter_of(msisdn: str, row: Sequence[Any]) -> DeadLetter:
    """Return a dead letter from what `dump.lua` tells."""
    _, id, at, attempt, reason, kind, expires, data = row
    return DeadLetter(msisdn, id.decode(), kind.decode(), _values(data), int(expires), int(at), attempt, shown(reason))


def everything_of(record: Subscriber, told: Sequence[Any]) -> Everything:
    """Return all there is of a subscriber from what `dump.lua` tells."""
    _, notes, entries, letters, answers = told
    standing = [
        Standing(entry_of(id, due, kind, expires, tried, data), ready, attempt, shown(reason))
        for _, id, due, ready, attempt, reason, kind, expires, tried, data in sorted(entries)
    ]
    kept = [answer_of(*pair(each), value) for each, value in zip(answers[::2], answers[1::2], strict=True)]
    return Everything(
        record,
        [note_of(each) for each in notes],
        standing,
        [letter_of(record.msisdn, row) for row in sorted(letters)],
        sorted(kept, key=lambda one: (one.terminal, one.key)),
    )


def restored(everything: Everything, brought: bool) -> list[Value]:
    """Return all there is of a subscriber as `restore.lua` takes it, behind the record and the number."""
    whole = everything
    values: list[Value] = [len(each) for each in (whole.journal, whole.outbox, whole.dead_letters, whole.answers)]
    values += [note(each) for each in whole.journal]
    for each in whole.outbox:
        entry = each.entry
        values += (entry.id, LANES[entry.kind], entry.due, each.ready, each.attempt, each.reason)
        values += (entry.kind, entry.expires, entry.tried, packed(entry.data))
    for letter in whole.dead_letters:
        values += (letter.id, letter.at, letter.attempt, letter.reason, letter.kind, letter.expires)
        values.append(packed(letter.data))
    for kept in whole.answers:
        values += (name(kept.terminal, kept.key), answer(kept), kept.expires)
    values.append(int(brought))
    return values
