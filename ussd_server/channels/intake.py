"""The inputs of one account between their read and their turns: in a flood they wait in line, a few at each time."""

import asyncio
from collections import deque
from typing import Final

import structlog

from ussd_server.channels.base import Answering, Input
from ussd_server.log import mask
from ussd_server.turns.admission import Backlog, Kind
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.inputs import kind_of

log = structlog.get_logger()

TOGETHER: Final = 64
"""Inputs handed in within one turn of the loop: the store writes what these have changed while the next are played."""


class Intake:
    """Hands in what an account reads, in its order; begins no dialogue while the `backlog` of its screens stands."""

    def __init__(self, account: str, conversations: Conversations, backlog: Backlog) -> None:
        self._account = account
        self._conversations = conversations
        self._backlog = backlog
        self.read: list[tuple[Input, Answering]] = []
        """What is being read; whoever reads puts it here, and calls `hand_in` when that was all."""
        self._line: deque[tuple[Input, Answering]] = deque()
        """What waits to be handed in, in the order in which it came."""
        self._handing_in = False
        """Whether some of that is handed in at the next turn of the loop."""
        self._empty: asyncio.Future[None] | None = None
        """Done when the line is empty, where somebody waits for that."""

    def hand_in(self) -> None:
        """Hand in what was read at once, now that all of it is an input; in a flood, refuse at once what is too much.

        A turn needs far more memory than what the processor has close by. Done in between, it would have the way to the
        next input begin in the cold.
        """
        inputs, self.read = self.read, []
        if self._line or len(inputs) > TOGETHER:
            for input, answer in inputs:
                self._let_wait(input, answer)
        else:
            self._line.extend(inputs)
        if not self._handing_in:
            self._go_on()

    async def handed_in(self) -> None:
        """Return when nothing waits to be handed in."""
        while self._line:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def close(self) -> None:
        """Leave what still waits without an answer, as what was not even read."""
        self._line.clear()

    def _let_wait(self, input: Input, answer: Answering) -> None:
        """Let an input wait in line, or refuse it at once if it is not admitted behind those that wait already."""
        try:
            if not self._conversations.turned_away(input, answer, len(self._line)):
                self._line.append((input, answer))
        except Exception:
            self._not_taken(input)

    def _go_on(self) -> None:
        """Hand in some of what waits, and the rest in the next turns of the loop, after what came before."""
        line, conversations, stands = self._line, self._conversations, self._backlog.stands
        for _ in range(min(TOGETHER, len(line))):
            input, answer = line.popleft()
            try:
                if stands and kind_of(input) is Kind.DIALOGUE:
                    conversations.refuse(input, answer)
                else:
                    conversations.take(input, answer)
            except Exception:
                self._not_taken(input)
        self._handing_in = bool(line)
        if self._handing_in:
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _not_taken(self, input: Input) -> None:
        """Log the exception that is being handled; what came with the input is not to suffer from it."""
        log.exception("input not taken", smsc=self._account, msisdn=mask(input.msisdn))
