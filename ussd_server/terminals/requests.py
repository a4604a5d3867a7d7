"""A terminal's request and its answer, and how a request is carried out once however often it comes.

    load the record, look for a kept answer, do the work, commit what it changed together with the answer

Where the commit finds another version, all of it is done again from the newer record: of two servers with the same
request one commits, and the other then finds the answer. In one process the second is told that the first is at work.
A refusal that changed nothing is not kept: the same request is judged anew when it comes again.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from menus.flow import Flow
from menus.session import Values
from ussd_server.secrecy.vault import Vault
from ussd_server.stores.base import KeptAnswer, Store, StoreUnavailable
from ussd_server.terminals.problems import TYPES, Problem, problem
from ussd_server.terminals.record import Terminal
from ussd_server.turns.turn import Tools, Turn

KEPT_MS: Final = 24 * 3_600_000
"""How long a request is known again."""
DEADLINE_MS: Final = 5_000
"""How long a request waits for the operator: less than its terminal waits for the answer, or it would never be told."""
MAX_CONFLICTS: Final = 32
"""Commits that may fail because something else changed the subscriber; each time somebody made progress."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of an authenticated terminal: its Idempotency-Key ("" for one that changes nothing), and when (ms)."""

    terminal: Terminal
    key: str
    at: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What to answer: the HTTP status and the JSON body."""

    status: int
    body: bytes


Outcome: TypeAlias = Answered | Problem
Work: TypeAlias = Callable[[Turn], Awaitable[Outcome]]


@dataclass(frozen=True)
class Requests:
    """Carries requests out; `work_waits` says that a commit left work in the outbox."""

    flow: Callable[[], Flow]
    store: Store
    vault: Vault
    tools: Tools
    work_waits: Callable[[], None]
    under_way: set[tuple[str, str]]
    """The requests at work in this process, by terminal and Idempotency-Key."""

    @contextmanager
    def first(self, request: Request) -> Iterator[Problem | None]:
        """Give a refusal where the same request is at work in this process; else it is this one until the end."""
        name = (request.terminal.id, request.key)
        if name in self.under_way:
            yield problem("request-in-progress", retry_after=1)
            return
        self.under_way.add(name)
        try:
            yield None
        finally:
            self.under_way.discard(name)

    async def carry_out(self, request: Request, msisdn: str, fingerprint: bytes, work: Work) -> Outcome:
        """Do the work once, and keep its answer; where it refuses, nothing that it did is kept."""
        with self.first(request) as refused:
            if refused is not None:
                return refused
            for _ in range(MAX_CONFLICTS):
                turn = await self.turn(request, msisdn, fingerprint)
                if not isinstance(turn, Turn):
                    return turn
                outcome = await work(turn)
                if isinstance(outcome, Problem):
                    return outcome
                if await self.commit(turn, self.keep(request, fingerprint, outcome)):
                    return outcome
        raise conflicts()

    async def turn(self, request: Request, msisdn: str, fingerprint: bytes) -> Turn | Outcome:
        """Return a turn on the newest record, or the answer where this request has one.

        The record is loaded first: an answer that is written after the look makes the turn's commit fail.
        """
        turn = await self.look(request, msisdn)
        kept = await self.kept(request)
        if kept is None:
            return turn
        return self.opened(kept) if kept.fingerprint == fingerprint else problem("idempotency-key-reused")

    async def look(self, request: Request, msisdn: str) -> Turn:
        """Return a turn on the newest record."""
        record, version = await self.store.load(msisdn, latest=True)
        now = self.tools.clock()
        until = now + DEADLINE_MS
        return Turn(self.flow(), record, version, now, until, self.tools, "", "", request.terminal.id)

    async def kept(self, request: Request) -> KeptAnswer | None:
        """Return the answer that is kept of a request with this terminal and Idempotency-Key."""
        return await self.store.answer(request.terminal.id, request.key)

    def opened(self, kept: KeptAnswer) -> Outcome:
        """Return a kept answer as it was given; how long access stays closed is told as of now."""
        outcome = _opened(self.vault.open_answer(kept.body, kept.terminal, kept.key))
        if isinstance(outcome, Problem) and "locked_until" in outcome.more:
            left = int(outcome.more["locked_until"]) - self.tools.clock()
            return dataclasses.replace(outcome, retry_after=max(0, -(-left // 1000)))
        return outcome

    def keep(self, request: Request, fingerprint: bytes, outcome: Outcome) -> KeptAnswer:
        """Return the answer as it goes into the commit of what it answers."""
        terminal, key = request.terminal.id, request.key
        body = self.vault.seal_answer(_closed(outcome), terminal, key)
        return KeptAnswer(terminal, key, fingerprint, body, self.tools.clock() + KEPT_MS)

    async def commit(self, turn: Turn, answer: KeptAnswer | None = None) -> bool:
        """Write what a turn did; False where something else was faster."""
        done = await self.store.commit(turn.change(answer=answer))
        if done and turn.outbox:
            self.work_waits()
        return done


def conflicts() -> StoreUnavailable:
    """Return what to raise where the subscriber is changed again and again."""
    return StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An outcome as it is kept: a body, or the name of a problem and what it said."""

    status: int = 0
    body: bytes = b""
    refused: str = ""
    detail: str = ""
    more: Values = {}
    retry_after: int | None = None


def _closed(outcome: Outcome) -> bytes:
    match outcome:
        case Answered(status, body):
            kept = _Kept(status, body)
        case Problem(kind, detail, more, retry_after):
            kept = _Kept(kind.status, b"", kind.name, detail, dict(more), retry_after)
    return msgspec.msgpack.encode(kept)


def _opened(body: bytes) -> Outcome:
    kept = msgspec.msgpack.decode(body, type=_Kept)
    if kept.refused:
        return Problem(TYPES[kept.refused], kept.detail, kept.more, kept.retry_after)
    return Answered(kept.status, kept.body)
