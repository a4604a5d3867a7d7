"""A USSD step on its way through an account: in as an input, out as a screen by the link that it came by.

An input is acknowledged when what it changed is durable. Until the gateway has accepted what was answered to it, the
subscriber stands in `unaccepted` of its link, by which a repeated delivery is told from a repeated answer.
"""

import asyncio
from functools import lru_cache
from typing import Final

import msgspec
import structlog

from menus.render import Channel
from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, status_name
from smpp.dialect import Dialect
from smpp.errors import THROTTLED
from smpp.inputs import Heard
from smpp.pdu import Message, Packed
from smpp.replies import Replies, Shown
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.binds import NO_LINK, Binds, BoundLink
from ussd_server.channels.intake import Intake
from ussd_server.channels.throttling import Throttling
from ussd_server.channels.ussd import Deed
from ussd_server.log import mask
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl

log = structlog.get_logger()

SCREENS_KEPT: Final = 1024
"""Screens repeat, so the latest are kept as they were encoded. SMS are not: one may hold an access code."""

RETRY_SECONDS: Final = 0.3
"""A throttled USSD answer is tried once more after this; later the subscriber is gone."""


class UssdStep(msgspec.Struct, gc=False):
    """An input on its way: what it was, what is awaited, and what is sent back; the tag of that submit_sm.

    `shows`: a text may be shown; `waits`: the gateway waits for one, or for a word that there is none. `awaited`: what
    comes again meanwhile was not answered yet.
    """

    steps: "UssdSteps"
    link: BoundLink
    received: Message | Heard
    session: ussd.Session
    msisdn: str
    shows: bool
    waits: bool = True
    awaited: bool = False
    reply: Message | Packed | None = None
    retried: bool = False

    def answer(self, answer: Answer) -> None:
        """Take what the input led to."""
        if answer.text is None or not self.shows:
            self.steps.answered(self, answer)
        else:
            self.steps.reply(self, answer.text, answer)


class UssdSteps:
    """Hands in the USSD steps of one account, and takes back what they led to."""

    def __init__(
        self,
        url: SmscUrl,
        dialect: Dialect,
        channel: Channel,
        *,
        intake: Intake,
        binds: Binds,
        throttling: Throttling,
        metrics: Metrics,
    ) -> None:
        self._account = account = str(url)
        self._channel = channel
        self._dialect = dialect
        self._replies = replies = Replies(dialect)

        def shown(text: str) -> Shown:
            return replies.shown(choose(text, dialect.gsm_coding, dialect.ucs2_coding, dialect.alphabet))

        self.shown = lru_cache(SCREENS_KEPT)(shown)
        """Encodes a screen. Raises `ValueError` where it does not fit into its PDU."""
        self._answers_back = url.bind == "trx"
        """Whether the link that an input came by takes its answer; a receiver does not."""
        self._answers_at_once = self._answers_back and dialect.submit == CommandId.SUBMIT_SM
        self._binds = binds
        self._links = binds.links
        self._pace = throttling.pace
        self._throttling = throttling
        self._intake = intake
        self._metrics = metrics
        metrics.screens_waiting[account] = lambda: sum(link.urgent for link in binds.sending())

    # In ---------------------------------------------------------------------------------------------------------------

    def put(self, step: UssdStep, kind: Deed, text: str, counted: int | None, now: int) -> None:
        """Make an input of what was done, the step that the gateway `counted` so; `step` sees to its answer."""
        link, msisdn = step.link, step.msisdn
        unaccepted = link.unaccepted
        accepted = msisdn not in unaccepted
        input = Input(
            msisdn,
            self._channel,
            kind,
            text,
            self._account,
            f"{self._account}/{step.session.dialogue}",
            link.name,
            step.received.sequence,
            now,
            link.connection.read_at,
            step=-1 if counted is None else counted,
            accepted=accepted,
            others=self._accepted_by_others(link, msisdn) if len(self._links) > 1 else (),
        )
        if accepted and step.waits:
            step.awaited = True
            unaccepted.add(msisdn)
        self._intake.read.append((input, step.answer))

    def _accepted_by_others(self, link: BoundLink, msisdn: str) -> tuple[str, ...]:
        """Name the other links on which the gateway took our last answer: it may spread a dialogue over all binds."""
        return tuple(one.name for one in self._links.values() if one is not link and msisdn not in one.unaccepted)

    # Out --------------------------------------------------------------------------------------------------------------

    def reply(self, step: UssdStep, text: str, answer: Answer) -> None:
        """Acknowledge an input, now that what it changed is durable, and show a text: as every USSD step does."""
        received, link = step.received, step.link
        try:
            reply = self._replies.write(received, step.session, self.shown(text), answer.ends, answer.pushed)
        except Exception:  # its change is kept, so the gateway is not to repeat it
            self._acknowledge(step)
            raise
        step.reply = reply
        link.unaccepted.add(step.msisdn)
        if type(received) is not Heard or not self._answers_at_once or self._pace.limit is not None:
            link.connection.respond(received)
            self._show(step)
            return
        self._metrics.pdus["out", "submit_sm"] += 1
        if not link.connection.answer(received.sequence, reply.body, step):
            self.lost(step, NO_LINK)

    def answered(self, step: UssdStep, answer: Answer) -> None:
        """Acknowledge an input, now that what it changed is durable, where there is nothing to be shown, or no way."""
        self._acknowledge(step)
        if answer.text is not None:
            log.info("not shown, the gateway had closed the dialogue", smsc=self._account, msisdn=mask(step.msisdn))
        elif step.waits:
            received = step.received
            whole = received.in_full() if isinstance(received, Heard) else received
            step.reply = ussd.release(whole, self._dialect)
            if step.reply is not None:  # nothing to say: nobody is to wait for it
                self._show(step)

    def _acknowledge(self, step: UssdStep) -> None:
        step.link.connection.respond(step.received)
        if step.awaited:
            step.link.unaccepted.discard(step.msisdn)

    def _show(self, step: UssdStep) -> None:
        """Send a screen, back on the link that its dialogue came by where that can be."""
        reply = step.reply
        assert reply is not None
        if self._pace.limit is not None:
            self._pace.overtaken(asyncio.get_running_loop().time())
        self._metrics.pdus["out", "submit_sm"] += 1
        if self._answers_back:
            sent = step.link.connection.send(reply, step, urgent=True)
        else:
            sent = self._binds.send(reply, step, urgent=True)
        if not sent:
            self.lost(step, NO_LINK)

    # What became of it ------------------------------------------------------------------------------------------------

    def turned_down(self, step: UssdStep, status: int) -> None:
        """Note that the gateway did not take a screen; try it once more where it came too fast."""
        if status in THROTTLED:
            self._throttling.throttled(status)
            if not step.retried:
                step.retried = True
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._show, step)
                return
        else:
            self._metrics.pdu_errors["out", status_name(status)] += 1
        meaning = self._dialect.statuses.get(status)
        self.lost(step, f"{status_name(status)}, {meaning}" if meaning else status_name(status))

    def lost(self, step: UssdStep, cause: str) -> None:
        """Note that a screen was not shown, or nobody knows whether it was."""
        self._metrics.pdu_errors["out", "ussd answer lost"] += 1
        log.warning("USSD answer lost", smsc=self._account, msisdn=mask(step.msisdn), cause=cause)
