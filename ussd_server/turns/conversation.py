"""The inputs of all subscribers: those of one are handled one at a time, and what there is no room for is refused."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from menus.render import Channel
from ussd_server.channels.base import Answer, Answering, Input
from ussd_server.turns.admission import MAX_PARTS_WAITING, MAX_WAITING, Kind
from ussd_server.turns.failures import report
from ussd_server.turns.inputs import kind_of
from ussd_server.turns.redelivery import ENDINGS
from ussd_server.turns.resources import Resources
from ussd_server.turns.under_way import UnderWay

_WITHOUT_A_WORD: Final = Answer(None, durable=False, busy=True)
"""What the end of something is answered with that there was no room to note; and all, where the flow cannot say so."""


class Conversations:
    """Takes every channel's inputs, and sees to it that each is answered."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._admission = resources.admission
        self._lanes: dict[str, deque[tuple[Input, Answering]] | None] = {}
        """The subscribers who have an input under way, with those that wait for it; nearly always that is none."""
        self._when_ended: Callable[[str], None] = self._ended
        """Bound once, not for each input."""
        self._idle: asyncio.Future[None] | None = None
        self._busy: dict[Channel, Answer] = {}
        self._busy_of = resources.flow

    @property
    def under_way(self) -> int:
        """How many subscribers have an input under way."""
        return len(self._lanes)

    async def finished(self) -> None:
        """Return when no turn is under way."""
        while self._lanes:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def take(self, input: Input, answer: Answering) -> None:
        """Handle an input to its end and call `answer` once, after whatever it changed is durable.

        Inputs of one subscriber are handled in the order they came. What is not admitted is answered with the polite
        text `overload`; nothing is changed, and nothing is kept of it.
        """
        lanes, msisdn = self._lanes, input.msisdn
        if msisdn in lanes:
            self._line_up(input, answer)
        elif self._admission.admits(kind := kind_of(input), len(lanes)):
            lanes[msisdn] = None
            UnderWay(self._resources, input, answer, self._when_ended)
        else:
            self._admission.refuse(kind)
            self._refuse(input, answer)

    def _line_up(self, input: Input, answer: Answering) -> None:
        """Let an input wait for the one of its subscriber that is under way."""
        lane = self._lanes[input.msisdn]
        if lane is None:
            lane = self._lanes[input.msisdn] = deque()
        if len(lane) < (MAX_WAITING if input.part is None else MAX_PARTS_WAITING):
            lane.append((input, answer))
        else:
            self._admission.crowd()
            self._refuse(input, answer)

    def _ended(self, msisdn: str) -> None:
        """Go on with what came from the same subscriber meanwhile."""
        lanes = self._lanes
        lane = lanes.pop(msisdn)
        if lane:
            lanes[msisdn] = lane
            # By way of the loop: inputs that need no commit would be calls within calls.
            asyncio.get_running_loop().call_soon(UnderWay, self._resources, *lane.popleft(), self._when_ended)
        elif self._idle is not None and not lanes and not self._idle.done():
            self._idle.set_result(None)

    def refuse(self, input: Input, answer: Answering) -> None:
        """Answer an input that its channel has no room for, as one that is not admitted."""
        self._admission.refuse(kind_of(input))
        self._refuse(input, answer)

    def turned_away(self, input: Input, answer: Answering, before: int) -> bool:
        """Refuse an input that is not admitted behind so many that wait to be handed in; return whether it was so."""
        if self._admission.admits(kind_of(input), len(self._lanes) + before, before):
            return False
        self.refuse(input, answer)
        return True

    def not_handed_in(self) -> None:
        """Count a dialogue that its channel has not even handed in."""
        self._admission.refuse(Kind.DIALOGUE)

    def _refuse(self, input: Input, answer: Answering) -> None:
        """Answer what is not begun, at the least cost: this is done most when there is most to do."""
        resources = self._resources
        if self._busy_of is not resources.flow:
            self._busy_of, self._busy = resources.flow, {}
        said = _WITHOUT_A_WORD if input.kind in ENDINGS else self._busy.get(input.channel)
        if said is None:
            said = self._busy[input.channel] = self._polite(input)
        try:
            answer(said)
            resources.metrics.turns[input.channel.name, "overload"] += 1
        except Exception as error:
            report("answering failed", input, error)

    def _polite(self, input: Input) -> Answer:
        """Return what this flow says by this channel where there is too much to do, if it can."""
        try:
            return Answer(self._resources.text("overload", input.channel), durable=False, busy=True)
        except Exception as error:
            report("refused without a word", input, error)
            return _WITHOUT_A_WORD
