"""The code check: what was typed at a terminal, from the sealed entry to the verdict.

    unseal     the entry must be this request's and fresh; nothing is known of the number yet
    reserve    one commit takes one of the number's tries, under an id that is made of the request
    check      argon2id, on the hasher's threads
    settle     one commit says how it went: the count or the lock, the journal, the visit, and the answer that is kept

A request that comes again takes no second try. Its answer is kept, with a fingerprint that holds the code as an
argon2id; or the store broke on the way, and this process, which knows what was typed, evaluates the same guess again;
or another server has it, or had it and is gone: then the try lapses and counts. Nothing that is quick to compute is
made of a code.

A number that nobody knows, or whose service is not activated, goes exactly this way: the same commits, the same
argon2id, the same answers. While access is closed nothing is reserved and nothing verified, whosever number it is: the
answer says that it is closed anyway, the time of an entry that is not looked at tells nothing, and a flood of entries
at a closed number costs no argon2id.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec.structs import replace

from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.secrecy.keys import Keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Checked, CodeHasher, VaultError
from ussd_server.stores.base import JournalEntry, OutboxEntry
from ussd_server.subscribers import codes
from ussd_server.terminals import messages, sealing
from ussd_server.terminals.notices import tell_of_lock
from ussd_server.terminals.problems import Problem, problem
from ussd_server.terminals.requests import MAX_CONFLICTS, Answered, Outcome, Request, Requests, conflicts
from ussd_server.terminals.tally import Tally
from ussd_server.turns.turn import Turn

log = structlog.get_logger()

MAX_AHEAD_MS: Final = 5_000
"""How far a terminal's clock may be ahead; as for the signature around the entry."""

AGAIN_S: Final = 5
"""How soon to ask again for an entry whose server is gone, or for what a broken part keeps from being judged."""

Welcome = Callable[[Turn], Awaitable[Answered]]
"""Opens the visit of somebody whose code was right, within the settling turn."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One entry on its way: the request, what was typed, the id of its try, and who opens the visit."""

    request: Request
    entry: sealing.Entry
    id: str
    parts: tuple[str, ...]
    welcome: Welcome


class Entries:
    """Checks entries; one try of the number each, however often the request comes."""

    def __init__(self, requests: Requests, keys: Keys, hasher: CodeHasher, tally: Tally, metrics: Metrics) -> None:
        self._requests = requests
        self._keys = keys
        self._hasher = hasher
        self._tally = tally
        self._metrics = metrics
        metrics.checks_waiting = lambda: hasher.under_way
        self._begun: dict[str, tuple[Secret[str], int]] = {}
        """What was typed for the tries that this process has taken, by id, and until when they are reserved (ms)."""

    async def check(self, request: Request, asked: messages.OpenVisit, welcome: Welcome) -> Outcome:
        """Return the answer to an entry: the visit's, or why there is none. Raises StoreUnavailable."""
        entry = self._unseal(request, asked)
        if isinstance(entry, Problem):
            return entry
        parts = ("visits", entry.msisdn, entry.terminal, entry.attempt)
        attempt = _Attempt(request, entry, self._requests.vault.fingerprint(*parts).hex(), parts, welcome)
        with self._requests.first(request) as refused:
            if refused is not None:
                return refused
            place = self._hasher.admit()
            if place is None:
                return problem("busy", retry_after=1)
            with place:
                return await self._admitted(attempt)

    async def _admitted(self, attempt: _Attempt) -> Outcome:
        """Answer an entry for which there is a place among the checks."""
        request = attempt.request
        # As it is now: what was loaded to verify the signature may be behind other entries of the same terminal.
        terminal = await self._tally.latest(request.terminal)
        with self._tally.check(terminal, request.at) as refused:
            if refused is not None:
                return refused
            # Within the terminal's share: to know an entry again takes as much hashing as to check it.
            known = await self._known(attempt)
            if known is not None:
                return known
            if not -MAX_AHEAD_MS <= request.at - attempt.entry.iat <= sealing.MAX_AGE_MS:
                return problem("entry-late")
            reserved = await self._reserve(attempt)
            if not isinstance(reserved, codes.Reserved):
                return reserved
            if reserved.again:
                # Only the very same guess may be evaluated again for one try, and only this process knows what it was.
                code, _ = self._begun.get(attempt.id, (None, 0))
                if code is None:
                    return problem("request-in-progress", retry_after=AGAIN_S)
                if code != attempt.entry.code:
                    return problem("idempotency-key-reused")
            outcome = await self._judged(attempt, reserved)
            self._begun.pop(attempt.id, None)
            return outcome

    async def _known(self, attempt: _Attempt) -> Outcome | None:
        """Return what this request was answered before; a refusal where another entry had its Idempotency-Key."""
        kept = await self._requests.store.answer(attempt.request.terminal.id, attempt.request.key)
        if kept is None:
            return None
        same = await self._hasher.same(kept.fingerprint, attempt.entry.code, *attempt.parts)
        return self._requests.opened(kept) if same else problem("idempotency-key-reused")

    async def _judged(self, attempt: _Attempt, reserved: codes.Reserved) -> Outcome:
        """Evaluate the entry and settle it."""
        entry = attempt.entry
        try:
            checked = await self._hasher.check(
                reserved.sealed, entry.code, entry.msisdn, reserved.generation, *attempt.parts
            )
        except VaultError as error:
            log.error("access code not readable", msisdn=mask(entry.msisdn), cause=str(error))
            await self._hasher.check(None, entry.code, entry.msisdn, 0)  # the time that any other number takes
            await self._give_back(attempt)
            return problem("unavailable", retry_after=AGAIN_S)
        return await self._settle(attempt, checked)

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

    async def _reserve(self, attempt: _Attempt) -> codes.Reserved | Outcome:
        """Take a try, or find the one that this request has taken; an answer where there is nothing to evaluate."""
        for _ in range(MAX_CONFLICTS):
            turn = await self._requests.look(attempt.request, attempt.entry.msisdn)
            known = await self._known(attempt)
            if known is not None:
                return known
            record = turn.record
            match codes.reserve(record.access, attempt.id, turn.now, turn.tools.policy):
                case codes.Locked(until=until):
                    return _closed(until, turn.now)
                case codes.Busy():
                    return problem("check-in-progress", retry_after=1)
                case codes.Settled():
                    # It lapsed and has counted: whoever was checking it is gone.
                    nobodys = await self._hasher.check(
                        None, attempt.entry.code, attempt.entry.msisdn, 0, *attempt.parts
                    )
                    return await self._settle(attempt, nobodys)
                case codes.Reserved() as reserved:
                    if not record.active:
                        reserved = _nobodys(reserved)
                    if reserved.again:
                        return reserved
                    turn.record = replace(record, access=reserved.access)
                    self._remember(attempt, turn.now)
                    if reserved.closes:
                        turn.outbox.append(_notice(turn, attempt.request, reserved.closes))
                    if await self._requests.commit(turn):
                        return reserved
        raise conflicts()

    def _remember(self, attempt: _Attempt, now: int) -> None:
        """Keep in memory what is being checked, for as long as its try is reserved."""
        self._begun = {id: begun for id, begun in self._begun.items() if begun[1] > now}
        self._begun[attempt.id] = (attempt.entry.code, now + codes.RESERVATION_MS)

    async def _settle(self, attempt: _Attempt, checked: Checked) -> Outcome:
        """Commit how the entry went together with the answer, and count a wrong one against its terminal."""
        request = attempt.request
        for _ in range(MAX_CONFLICTS):
            turn = await self._requests.look(request, attempt.entry.msisdn)
            known = await self._known(attempt)
            if known is not None:
                return known
            record, right = turn.record, checked.right and turn.record.active
            settled = codes.settle(record.access, attempt.id, right, turn.now, turn.tools.policy)
            turn.record = replace(record, access=settled.access)
            outcome = await self._judge(turn, request, settled.verdict, attempt.welcome)
            if await self._requests.commit(turn, self._requests.keep(request, checked.fingerprint, outcome)):
                await self._count(request, attempt.entry.msisdn, settled.verdict)
                return outcome
        raise conflicts()

    async def _give_back(self, attempt: _Attempt) -> None:
        """Take a try back that was not judged."""
        for _ in range(MAX_CONFLICTS):
            turn = await self._requests.look(attempt.request, attempt.entry.msisdn)
            access = codes.give_back(turn.record.access, attempt.id, turn.now)
            turn.record = replace(turn.record, access=access)
            if await self._requests.commit(turn):
                return
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
                tell_of_lock(turn, request.terminal.name)
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
    """Return what tells the owner of a lock when it is due, if nobody settled the try that led to it."""
    data = {"terminal": request.terminal.name}
    return OutboxEntry(turn.tools.new_id(), "lock_notice", due, data)


def _closed(until: int, now: int) -> Problem:
    return problem("access-locked", retry_after=-(-(until - now) // 1000), locked_until=until)
