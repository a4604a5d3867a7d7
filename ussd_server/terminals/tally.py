"""Counts in the store what terminals use up; the rules are those of `terminals/budgets.py`."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from ussd_server.secrecy.vault import MOST_CHECKS
from ussd_server.stores.base import Store, StoreUnavailable
from ussd_server.terminals import budgets, registry
from ussd_server.terminals.problems import Problem, problem
from ussd_server.terminals.record import Terminal

log = structlog.get_logger()

MOST_CHECKS_OF_ONE: Final = MOST_CHECKS // 2
"""Entries of one terminal that are checked at once: the rest of the places is for the others, whatever its budget."""


class Tally:
    """What terminals have used of their budgets, and the entries of theirs that are being checked here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._checks: Counter[str] = Counter()
        # A busy terminal's counts would race each other from one commit to the next.
        self._one_at_a_time = asyncio.Lock()

    async def latest(self, terminal: Terminal) -> Terminal:
        """Return the terminal as it stands in the store."""
        stored, _ = await self._store.load_terminal(terminal.id)
        return terminal if stored is None else stored

    @contextmanager
    def check(self, terminal: Terminal, now: int) -> Iterator[Problem | None]:
        """Give a refusal where the terminal may have no further entry checked; else it has one until the end.

        Entries that are being checked count as wrong ones meanwhile, so that many at once overdraw no budget.
        """
        if terminal.standing != "active":
            yield problem("terminal-quarantined")
            return
        if self._checks[terminal.id] >= min(budgets.entries_left(terminal, now), MOST_CHECKS_OF_ONE):
            yield problem("too-many-requests", "too many of this terminal's entries are being checked", retry_after=1)
            return
        self._checks[terminal.id] += 1
        try:
            yield None
        finally:
            self._checks[terminal.id] -= 1
            if not self._checks[terminal.id]:
                del self._checks[terminal.id]

    async def wrong(self, terminal: Terminal, now: int) -> None:
        """Count a wrong entry. It was told, or will be, so a store that is away now changes nothing but the count."""
        try:
            async with self._one_at_a_time:
                counted = await registry.change(
                    self._store, terminal.id, registry.known(lambda one: budgets.wrong_entry(one, now), terminal.id)
                )
        except StoreUnavailable as error:
            log.error("store unavailable, wrong entry not counted", terminal=terminal.id, cause=str(error))
            return
        match counted:
            case registry.Refused(why=why):
                log.error("wrong entry not counted", terminal=terminal.id, cause=why)
            case Terminal(standing="quarantined", since=since, reason=reason) if since == now:
                log.error("terminal quarantined", terminal=terminal.id, cause=reason)
            case _:
                pass

    async def order(self, terminal: Terminal, now: int) -> Problem | None:
        """Count an order of a code, before it is taken; return a refusal where the budget is used up."""
        again_at = 0

        def count(one: Terminal) -> Terminal:
            nonlocal again_at
            again_at = budgets.orders_again_at(one, now)
            return one if again_at else budgets.ordered(one, now)

        async with self._one_at_a_time:
            counted = await registry.change(self._store, terminal.id, registry.known(count, terminal.id))
        if isinstance(counted, registry.Refused):
            return problem("busy", counted.why, retry_after=1)
        if counted.standing != "active":
            return problem("terminal-quarantined")
        if not again_at:
            return None
        log.warning("terminal ordered too many codes", terminal=terminal.id, limit=terminal.orders_an_hour)
        wait = -(-(again_at - now) // 1000)
        return problem("too-many-requests", "this terminal orders too many codes", retry_after=wait)
