"""The store port: one subscriber's record is the unit of consistency, and one commit changes all that belongs together.

A store knows nothing of the rules. It keeps a record under a version, refuses a commit made on an older version, and
writes record, journal and outbox in the same transaction. Every implementation passes all of `tests/contracts/store/`.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import msgspec
import structlog

from menus.session import Values
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal
from ussd_server.turns.eager import Eager

log = structlog.get_logger(__name__)

OutboxKind: TypeAlias = Literal[
    "sms", "command", "query", "code", "code_order", "lock_notice", "letters", "push", "receipt", "delivery", "damaged"
]
"""`damaged`: nothing of it can be decoded, not even of what kind it was."""
OUTBOX_KINDS: Final[tuple[OutboxKind, ...]] = get_args(OutboxKind)

MESSAGES, OPERATOR, NOTICES, LETTERS, PUSHES, DELIVERIES = 0, 1, 2, 3, 4, 5
EVERY_LANE = (MESSAGES, OPERATOR, NOTICES, LETTERS, PUSHES, DELIVERIES)
LANES: Mapping[OutboxKind, int] = {
    "sms": MESSAGES,
    "code": MESSAGES,
    "code_order": MESSAGES,
    "receipt": MESSAGES,
    "damaged": MESSAGES,
    "lock_notice": NOTICES,
    "command": OPERATOR,
    "query": OPERATOR,
    "letters": LETTERS,
    "push": PUSHES,
    "delivery": DELIVERIES,
}
"""Entries of one subscriber and lane are performed in the order of their commits: messages, the operator's work,
notices that are due later, if at all, the time that the parts of a long SMS have, pushes, and the time that receipts
have.

The lanes do not wait for each other: an order that waits for a slow operator must not hold back an access code, nor a
notice that waits for its time an SMS.
"""


class StoreUnavailable(Exception):
    """The store cannot be reached or cannot be written. The text says why.

    Nothing was changed, nor will be.
    """


class PerhapsDone(StoreUnavailable):
    """The store was given the change, and does not say what became of it: it may have been made, or may yet be.

    Whoever loads the record when the store is back sees it.
    """


class Unsure(PerhapsDone):
    """The change was refused, perhaps for what it did itself: it was sent twice, and the first may have been written.

    The store can be asked again at once. What the record then has tells whether it was.
    """


class DamagedRecord(StoreUnavailable):
    """The record of this subscriber or terminal is there and cannot be decoded; all others can be read and written."""


class NoStore(StoreUnavailable):
    """No server has begun this store yet, and whoever opened it may not."""


class JournalEntry(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a subscriber and must be told later: who, when (ms), what. Never holds a secret."""

    at: int
    kind: str
    data: Values = {}


JOURNAL_ENTRIES: Final = 25
"""Journal entries that are kept of each kind of a subscriber, where nothing else is set."""

EVIDENCE: Final = frozenset({"consent", "order placed", "order ended", "push queued"})
"""Kinds of which `EVIDENCE_ENTRIES` are kept: what was agreed to and what became of it, and who a campaign called on.

Nothing but the journal has them, and both are read for a decision.
"""
EVIDENCE_ENTRIES: Final = 1_000


def kept_of(kind: str, journal_entries: int) -> int:
    """Return how many entries of a kind a subscriber's journal keeps: `journal_entries`, but of evidence more."""
    return EVIDENCE_ENTRIES if kind in EVIDENCE else journal_entries


class OutboxEntry(msgspec.Struct, frozen=True, gc=False):
    """Something that must happen after the commit, at least once.

    `id` is fixed before the commit, and unique among the subscriber's own.
    `due` is when it may be tried first (ms); after `expires` (ms, 0 = never) it is given up with a journal entry.
    `data` is the performer's own; a text that holds an access code is sealed in it. `tried` is how often it was tried
    before it was given up and taken back: its attempts count on from there, so that none is taken for another.
    Data that the store cannot decode is told of as `damaged.py` says, and nothing else is held up by it.
    """

    id: str
    kind: OutboxKind
    due: int
    data: Values
    expires: int = 0
    tried: int = 0


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """An outbox entry that is ours to perform until `lease` (ms); `attempt` counts from 1, or on from `tried`."""

    msisdn: str
    entry: OutboxEntry
    attempt: int
    lease: int

    @property
    def tries(self) -> int:
        """How often it was claimed since it came into the outbox, or was taken back into it; from 1."""
        return self.attempt - self.entry.tried


class Unsettled(PerhapsDone):
    """Of entries that were to be removed these are `left`, or perhaps left, each with why. All others are removed."""

    def __init__(self, left: Sequence[tuple[Claimed, StoreUnavailable]]) -> None:
        super().__init__(str(left[0][1]))
        self.left = left


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """An outbox entry that was given up at `at` (ms) after `attempt` tries, and why; kept until somebody decides."""

    msisdn: str
    id: str
    kind: OutboxKind
    data: Values
    expires: int
    at: int
    attempt: int
    reason: str


class KeptAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a terminal's request, kept until `expires` (ms) so that the same request gets it again.

    The request is known by its terminal and Idempotency-Key; `fingerprint` is a keyed digest of what was asked. `body`
    is sealed by whoever keeps it: it may hold what only that terminal may read.
    """

    terminal: str
    key: str
    fingerprint: bytes
    body: bytes
    expires: int


class Change(msgspec.Struct, frozen=True, gc=False):
    """One commit: the record that replaces version `version`, and all that goes with it.

    `settled` are ids of outbox entries of the same subscriber that this commit completes; an entry that is no longer
    there (another server settled it first) makes the commit fail like an old version does. So does an `answer` to a
    request that has one already. `exhumed` are ids of dead letters of the same subscriber that are none any more: what
    is to be tried again goes into `outbox` under its old id. One that is not there makes the commit fail, too.

    `dropped` are ids of outbox entries of the same subscriber that have nothing to do any more. Nothing depends on
    them: one that is no longer there (it was given up) is not missed.
    """

    version: int
    record: Subscriber
    journal: Sequence[JournalEntry] = ()
    outbox: Sequence[OutboxEntry] = ()
    settled: Sequence[str] = ()
    answer: KeptAnswer | None = None
    exhumed: Sequence[str] = ()
    dropped: Sequence[str] = ()


class Standing(msgspec.Struct, frozen=True, gc=False):
    """An outbox entry as it stands, claimed `attempt` times.

    It can be claimed from `ready` (ms) on: when it is due, or its lease ends. `reason` is why it was postponed last.
    """

    entry: OutboxEntry
    ready: int
    attempt: int
    reason: str = ""


class Everything(msgspec.Struct, frozen=True, gc=False):
    """All that a store has of a subscriber, as one value, the same from every kind of store.

    `journal` is oldest first, `outbox` in the order of the commits, `dead_letters` the one given up first at the front,
    `answers` by terminal and key.
    """

    record: Subscriber
    journal: list[JournalEntry] = []
    outbox: list[Standing] = []
    dead_letters: list[DeadLetter] = []
    answers: list[KeptAnswer] = []


class ClockReading(msgspec.Struct, frozen=True, gc=False):
    """By how many ms a clock is ahead of the store's, less than 0 where it is behind, give or take `unsure` ms."""

    ahead: int
    unsure: int

    def beyond(self, ms: int) -> bool:
        """Whether the clocks surely differ by more than this."""
        return abs(self.ahead) - self.unsure > ms

    def within(self, ms: int) -> bool:
        """Whether they surely do not; neither is sure where the answer took long."""
        return abs(self.ahead) + self.unsure <= ms


class Nonce(msgspec.Struct, frozen=True, gc=False):
    """A nonce that a terminal has used, remembered until then (ms)."""

    terminal: str
    nonce: str
    until: int


Told: TypeAlias = Callable[[bool | BaseException], None]
"""Is told what a commit returns or raises. It should raise nothing itself: that is logged, and told to nobody."""

ToldHeld: TypeAlias = Callable[[list[Claimed] | BaseException | None], None]
"""The same for `commit_and_hold`."""

Late: TypeAlias = Callable[[int, "asyncio.Future[list[Claimed]]"], None]
"""Is given a part of a claim that goes on when the rest is returned: for how many entries at most, and what it brings.

It is called before the claim returns, and may be several times. Whoever gave it holds what the part brings, which is
nothing where the store could not be asked; it may be so late that the lease is over.
"""


def pass_on(future: "asyncio.Future[Any]", told: Any) -> None:
    """Give a future what it is told, also an exception, if somebody still waits for it."""
    if future.done():
        return
    if isinstance(told, BaseException):
        future.set_exception(told)
    else:
        future.set_result(told)


def tell_each(outcomes: Iterable[tuple[Callable[[Any], None], Any]]) -> None:
    """Tell everybody an outcome; where that raises, a defect, it is logged, and everybody else hears of theirs."""
    for told, outcome in outcomes:
        try:
            told(outcome)
        except Exception:
            log.exception("store_outcome_not_taken")


def tell(told: Callable[[Any], None], outcome: Any) -> None:
    """Tell somebody an outcome, as `tell_each` does."""
    tell_each([(told, outcome)])


def tell_soon(told: Callable[[Any], None], outcome: Any) -> None:
    """Tell what is known at once with the loop's next turn: whoever commits is not told before the call returns."""
    asyncio.get_running_loop().call_soon(tell, told, outcome)


def tell_of(commit: Coroutine[Any, Any, Any], told: Callable[[Any], None]) -> None:
    """Run what commits at once, as far as it need not wait; tell once what it returns or raises, after this returns."""
    returned = False

    def telling(outcome: Any) -> None:
        if returned:
            tell(told, outcome)
        else:
            tell_soon(told, outcome)

    Eager(commit, telling, telling)
    returned = True


class Store(Protocol):
    """Where records live. All methods may raise `StoreUnavailable`, those that write also `PerhapsDone`.

    A version is 0 for none, else opaque.

    What writes journal entries lets go of the oldest of the same kinds, so that `kept_of` each are left. Others stay as
    they are, and so does what is restored.
    """

    async def load(self, msisdn: str, latest: bool = False) -> tuple[Subscriber, int]:
        """Return the record and its version; an unknown number has a fresh record of version 0.

        What is remembered of it may be older than what is stored, which a commit finds out. Who may refuse without a
        commit asks for the `latest`: what every server has committed by now. Raises `DamagedRecord` where the record is
        none, as `dump` and `load_terminal` do.
        """

    def remembered(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Return what `load` would return without waiting, if anything is remembered of the record."""

    async def commit(self, change: Change) -> bool:
        """Write the change durably and return True, or return False where `version` is not the stored one."""

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit, and call `told` once with what `commit` would return or raise, never before this returns.

        For turns, of which many wait for one write: who is called needs neither a coroutine nor a future.
        """

    async def commit_and_hold(self, change: Change, now: int, lease: int) -> list[Claimed] | None:
        """Commit, and hold until `lease` (ms) what of `change.outbox` could be claimed right after, as a claim does.

        That is the entries that are due at `now` and the oldest of their subscriber and lane. Returns what is held; a
        store may hold fewer of them, which then wait to be claimed. None where the change was refused.
        """

    def commit_and_hold_then(self, change: Change, now: int, lease: int, told: ToldHeld) -> None:
        """Do what `commit_and_hold` does, and call `told` as `commit_then` does."""

    async def claim(
        self, now: int, limit: int, lease_ms: int, lanes: Collection[int] = EVERY_LANE, late: Late | None = None
    ) -> list[Claimed]:
        """Take up to `limit` due entries that nobody holds, the oldest of each subscriber and lane, and hold them.

        They are ours for `lease_ms`; after that they can be claimed again. What is returned is durable. Given `late`,
        it need not wait for a part of the store that is slow: see there.
        """

    async def renew(self, claimed: Sequence[Claimed], lease: int) -> None:
        """Hold entries that are under way until `lease` (ms), as the same attempt.

        Nothing happens to an entry that is gone or postponed, or that another has claimed since.
        """

    async def settle(self, claimed: Sequence[Claimed]) -> None:
        """Remove entries that are done with and of which nothing else is to be kept. One that is gone is no mistake.

        Raises `Unsettled` where a part of the store removed its own, or may have; else all of them are left.
        """

    async def postpone(self, claimed: Claimed, due: int, reason: str) -> None:
        """Let go of an entry that failed for now; it is due again at `due` (ms).

        Nothing happens where the entry is gone or another has claimed it since; so it is with `bury`.
        """

    async def bury(self, claimed: Claimed, now: int, reason: str, journal: Sequence[JournalEntry] = ()) -> None:
        """Give an entry up: move it to the dead letters, and say so in the journal as `given_up` {id, kind, reason}.

        `journal` goes into it with that, where there is more to say. An earlier dead letter of that id is replaced.
        """

    async def dead_letters(self, msisdn: str) -> list[DeadLetter]:
        """Return what was given up of a subscriber, oldest first; a commit takes it back (`Change.exhumed`)."""

    async def given_up(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have dead letters, as `subscribers` does ("": from the start)."""

    async def count_dead_letters(self) -> Mapping[OutboxKind, int]:
        """Return how many dead letters there are of each kind that there are any of."""

    async def next_due(self, lanes: Collection[int] = EVERY_LANE) -> int | None:
        """Return when there is next an entry to claim (ms): when it is due, or the lease on it ends. None for never."""

    async def journal(self, msisdn: str, kind: str | None = None, limit: int = 100) -> list[JournalEntry]:
        """Return the newest entries of a subscriber, newest first."""

    async def forget(self, msisdn: str) -> bool:
        """Delete all that is known of a subscriber, kept answers included; False where nothing was."""

    async def forget_each(self, msisdns: Sequence[str]) -> None:
        """Delete all that is known of each of these subscribers; cheaper than one after the other."""

    async def subscribers(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that have a record, in the store's own order: those behind `after` ("": all).

        A number that is there all through a walk comes up in it once.
        """

    async def count_subscribers(self) -> int:
        """Return how many numbers have a record. It may take seconds, for a person who watches a bar."""

    async def relist(self) -> int:
        """List again who has a record and is missing in `subscribers`; return how many those were.

        Nobody is, unless another program took the list away. It reads all there is, for commands that must miss nobody.
        """

    async def load_terminal(self, id: str) -> tuple[Terminal | None, int]:
        """Return a terminal and its version as last written; None and 0 where it was never added."""

    async def commit_terminal(self, terminal: Terminal, version: int) -> bool:
        """Write a terminal durably and return True, or return False where `version` is not the stored one."""

    async def terminals(self) -> list[Terminal]:
        """Return every terminal, by id."""

    async def use_nonce(self, terminal: str, nonce: str, until: int) -> bool:
        """Return True and remember the nonce durably until then (ms), False where this terminal has used it.

        It is remembered until it is swept: a nonce whose time is over may be refused, too.
        """

    async def answer(self, terminal: str, key: str) -> KeptAnswer | None:
        """Return the kept answer of a request, also one whose time is over until it is swept. It is durable."""

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` nonces and answers whose time is over; returns how many. Never in the way of commits."""

    # Moving to another store: nobody serves from this one meanwhile -----------------------------------------------

    async def dump(self, msisdn: str) -> Everything | None:
        """Return all there is of a subscriber as it is at one moment, read anew; None for an unknown number."""

    async def restore(self, everything: Everything, brought: bool = False) -> None:
        """Let what there is of this subscriber be just this, durably: what `dump` returns then.

        Its version is new. With `brought` it is noted whose it is, see there. Raises ValueError, and changes nothing,
        where an answered request belongs to another subscriber.
        """

    async def brought(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` numbers that were restored as `brought` under the mark there is, as `subscribers`."""

    async def nonces(self, after: Nonce | None, limit: int) -> list[Nonce]:
        """Return up to `limit` nonces that are remembered, in the store's own order: those behind `after`."""

    async def mark(self) -> str:
        """Return what the store is marked with, "" for nothing: whoever copies into it says so until it is whole."""

    async def set_mark(self, mark: str, fenced: bool = False, passing: bool = False) -> None:
        """Mark the store durably; "" takes the mark off.

        Where it is `fenced`, no process can change what a copy has: whatever would raises StoreUnavailable with the
        mark, also of a store that was open before. What was written before this returns can be read. Who is `passing`
        copies into it: what this object alone restores, forgets, sweeps and notes, terminals and nonces go through.
        """

    @property
    def broken(self) -> str:
        """Why this store does nothing any more until the process is started anew; "" while it may."""

    async def identity(self) -> str:
        """Return what no other store has, nor this one when it has lost all; "" where there is no such thing."""

    async def noted_keys(self) -> str:
        """Return what was noted of its servers' keys (`secrecy/agreement.py`), "" for nothing."""

    async def note_keys(self, before: str, after: str) -> bool:
        """Note it durably and return True, or return False where what is noted is not `before`."""

    async def in_use(self) -> str | None:
        """Return who else has the store open, in words for a person; "" for nobody, None where it cannot be told."""

    async def risks(self) -> list[str]:
        """Return what could lose what was acknowledged, as the store is set up, each with its mend; [] for nothing.

        Nothing is written for that, also where the store has not begun.
        """

    async def read_clock(self, now: Callable[[], int]) -> ClockReading | None:
        """Compare the clock that `now` reads (ms) with the store's, of several servers with that farthest from it.

        None where the store has no other clock than this machine's, or does not tell.
        """

    async def ping(self) -> None:
        """Return where the store can be read and written."""

    async def close(self) -> None:
        """Finish what is under way and let go of the store."""
