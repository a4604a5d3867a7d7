"""The code check: what was typed at a terminal, from the sealed entry to the verdict.

    unseal     the entry must be this request's and fresh; nothing is known of the number yet
    reserve    one commit takes one of the number's tries, under an id that is made of the entry itself
    verify     argon2id, on the hasher's threads
    settle     one commit says how it went: the count or the lock, the journal, the visit, and the answer that is kept

A number that nobody knows, or whose service is not activated, goes exactly this way: the same commits, the same
argon2id, the same answers. While access is closed nothing is reserved and nothing verified, whosever number it is: the
answer says that it is closed anyway, the time of an entry that is not looked at tells nothing, and a flood of entries
at a closed number costs no argon2id.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from msgspec.structs import replace

from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.secrecy.keys import Keys
from ussd_server.secrecy.vault import CodeHasher, VaultError
from ussd_server.stores.base import JournalEntry, OutboxEntry
from ussd_server.subscribers import codes
from ussd_server.terminals import messages, sealing
from ussd_server.terminals.problems import Problem, problem
from ussd_server.terminals.requests import MAX_CONFLICTS, Answered, Outcome, Request, Requests, conflicts
from ussd_server.terminals.tally import Tally
from ussd_server.turns.turn import Turn

log = structlog.get_logger()

MAX_AHEAD_MS: Final = 5_000
"""How far a terminal's clock may be ahead; as for the signature around the entry."""

Welcome = Callable[[Turn], Awaitable[Answered]]
"""Opens the visit of somebody whose code was right, within the settling turn."""


class Entries:
    """Checks entries; one try of the number each, however often the request comes."""

    def __init__(self, requests: Requests, keys: Keys, hasher: CodeHasher, tally: Tally, metrics: Metrics) -> None:
        self._requests = requests
        self._keys = keys
        self._hasher = hasher
        self._tally = tally
        self._metrics = metrics
        metrics.checks_waiting = lambda: hasher.under_way

    async def check(self, request: Request, asked: messages.OpenVisit, welcome: Welcome) -> Outcome:
        """Return the answer to an entry: the visit's, or why there is none. Raises StoreUnavailable."""
        entry = self._unseal(request, asked)
        if isinstance(entry, Problem):
            return entry
        fingerprint = self._requests.vault.fingerprint(
            "visits", entry.msisdn, entry.code, entry.terminal, entry.attempt
        )
        with self._requests.first(request) as refused:
            if refused is not None:
                return refused
            if not -MAX_AHEAD_MS <= request.at - entry.iat <= sealing.MAX_AGE_MS:
                return await self._requests.kept(request, fingerprint) or problem("entry-late")
            return await self._admit(request, entry, fingerprint, welcome)

    def _unseal(self, request: Request, asked: messages.OpenVisit) -> sealing.Entry | Problem:
        key = self._keys.get(asked.entry.key)
        if key is None or key.kind != "transport":
            return problem("transport-key-unknown")
        entry = sealing.unseal(asked.entry.box, key.secret)
        if isinstance(entry, sealing.Unreadable):
            return problem("entry-unreadable")
        if (entry.msisdn, entry.terminal, entry.attempt) != (asked.msisdn, request.terminal.id, request.key):
            return problem("entry-mismatch")
        return entry

    async def _admit(self, request: Request, entry: sealing.Entry, fingerprint: bytes, welcome: Welcome) -> Outcome:
        """Check the entry where there is room: what is refused here has taken no try."""
        with self._tally.check(request.terminal, request.at) as refused:
            if refused is not None:
                return refused
            place = self._hasher.admit()
            if place is None:
                return problem("busy", retry_after=1)
            with place:
                reserved = await self._reserve(request, entry, fingerprint, welcome)
                if not isinstance(reserved, codes.Reserved):
                    return reserved
                try:
                    right = await self._hasher.verify(reserved.sealed, entry.code, entry.msisdn, reserved.generation)
                except VaultError as error:
                    # The try stays reserved: the request may come again when the key is there, else it lapses.
                    log.error("access code not readable", msisdn=mask(entry.msisdn), cause=str(error))
                    return problem("internal", retry_after=1)
                return await self._settle(request, entry, fingerprint, right, welcome)

    async def _reserve(
        self, request: Request, entry: sealing.Entry, fingerprint: bytes, welcome: Welcome
    ) -> codes.Reserved | Outcome:
        """Take a try, or find the one that this entry has taken before; an answer where there is nothing to verify."""
        for _ in range(MAX_CONFLICTS):
            turn = await self._requests.turn(request, entry.msisdn, fingerprint)
            if not isinstance(turn, Turn):
                return turn
            record, policy = turn.record, turn.tools.policy
            match codes.reserve(record.access, fingerprint.hex(), turn.now, policy):
                case codes.Locked(until=until):
                    return _closed(until, turn.now)
                case codes.Busy():
                    return problem("check-in-progress", retry_after=1)
                case codes.Settled():
                    # It lapsed and has counted: whoever was checking it is gone.
                    return await self._settle(request, entry, fingerprint, False, welcome)
                case codes.Reserved() as reserved:
                    if not record.active:
                        reserved = _nobodys(reserved)
                    if reserved.again:
                        return reserved
                    turn.record = replace(record, access=reserved.access)
                    if reserved.closes:
                        turn.outbox.append(_notice(turn, request, reserved.closes))
                    if await self._requests.commit(turn):
                        return reserved
        raise conflicts()

    async def _settle(
        self, request: Request, entry: sealing.Entry, fingerprint: bytes, right: bool, welcome: Welcome
    ) -> Outcome:
        """Commit how the entry went together with the answer, and count a wrong one against its terminal."""
        for _ in range(MAX_CONFLICTS):
            turn = await self._requests.turn(request, entry.msisdn, fingerprint)
            if not isinstance(turn, Turn):
                return turn
            record = turn.record
            settled = codes.settle(
                record.access, fingerprint.hex(), right and record.active, turn.now, turn.tools.policy
            )
            turn.record = replace(record, access=settled.access)
            outcome = await self._judge(turn, request, settled.verdict, welcome)
            if await self._requests.commit(turn, self._requests.keep(request, fingerprint, outcome)):
                await self._count(request, entry.msisdn, settled.verdict)
                return outcome
        raise conflicts()

    async def _judge(self, turn: Turn, request: Request, verdict: codes.Verdict, welcome: Welcome) -> Outcome:
        """Return the answer to a verdict, and put what belongs to it into the turn."""
        terminal = request.terminal.id
        match verdict:
            case codes.Accepted():
                turn.journal.append(JournalEntry(turn.now, "access opened", {"terminal": terminal}))
                return await welcome(turn)
            case codes.Wrong(attempts_left=left):
                turn.journal.append(JournalEntry(turn.now, "code wrong", {"terminal": terminal, "left": left}))
                return problem("code-rejected", attempts_left=left)
            case codes.Locked(until=until):
                turn.journal.append(JournalEntry(turn.now, "access locked", {"terminal": terminal, "until": until}))
                turn.outbox.append(_notice(turn, request, turn.now))
                return _closed(until, turn.now)
            case codes.Expired():
                # Only who knows the code learns that it is too old.
                turn.journal.append(JournalEntry(turn.now, "code too old", {"terminal": terminal}))
                return problem("code-expired")

    async def _count(self, request: Request, msisdn: str, verdict: codes.Verdict) -> None:
        self._metrics.checks[type(verdict).__name__.lower()] += 1
        if isinstance(verdict, codes.Wrong | codes.Locked):
            await self._tally.wrong(request.terminal, request.at)
        if isinstance(verdict, codes.Locked):
            log.warning("access locked", msisdn=mask(msisdn), terminal=request.terminal.id)


def _nobodys(reserved: codes.Reserved) -> codes.Reserved:
    """Return the try of a number whose service is not activated: no code is right there."""
    return codes.Reserved(reserved.access, reserved.id, None, reserved.generation, reserved.again, reserved.closes)


def _notice(turn: Turn, request: Request, due: int) -> OutboxEntry:
    """Return what tells the owner of a lock when it is due, if there is one then that they were not told of."""
    data = {"terminal": request.terminal.name}
    return OutboxEntry(turn.tools.new_id(), "lock_notice", due, data)


def _closed(until: int, now: int) -> Problem:
    return problem("access-locked", retry_after=-(-(until - now) // 1000), locked_until=until)
