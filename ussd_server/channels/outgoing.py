"""The way out of what answers no USSD step: SMS and pushes wait for their turn, and are told what became of them."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Literal

import msgspec

from smpp import receipts, ussd
from smpp.constants import status_name
from smpp.dialect import Dialect
from smpp.errors import THROTTLED, TRANSIENT
from smpp.link import Submitted
from smpp.pdu import Message
from smpp.replies import Shown
from smpp.transport import Binding
from ussd_server.channels import sms
from ussd_server.channels.binds import NO_LINK, Binds
from ussd_server.channels.lineup import Lineup, Waiting
from ussd_server.channels.sms import SendOutcome
from ussd_server.channels.throttling import Throttling
from ussd_server.channels.ussd import PushOutcome
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl

BUSY: Final = "busy"
"""What a dialect calls the status of a gateway whose subscriber has a dialogue already."""


class SmsPart(msgspec.Struct, gc=False):
    """A submit_sm that is an SMS (`whole`) or a part of one, and what becomes of it.

    Its place in the queue is the tag of the PDU.
    """

    body: bytes
    done: asyncio.Future[SendOutcome]
    whole: bool


class UssdPush(msgspec.Struct, gc=False):
    """A submit_sm that begins a dialogue from our side, and what becomes of it."""

    message: Message
    done: asyncio.Future[PushOutcome]


class Outgoing:
    """Sends the SMS and pushes of one account; `shown` encodes a screen, `random` gives numbers in [0, 1)."""

    def __init__(
        self,
        url: SmscUrl,
        dialect: Dialect,
        shown: Callable[[str], Shown],
        random: Callable[[], float],
        *,
        binds: Binds,
        throttling: Throttling,
        metrics: Metrics,
    ) -> None:
        self.sending = 0
        """SMS that are under way here, long ones too."""
        self._account = account = str(url)
        self._dialect = dialect
        self._shown = shown
        self._writer = sms.Writer(_spelling(url))
        self._tells_ends = url.receipts
        """Whether receipts are asked for, so that the ids of what was sent are of use."""
        self._sent = SendOutcome("sent", account=account)
        self._submit_base = url.response_id
        self._transient = TRANSIENT | url.retry
        # Not from 0: a server that starts anew must not number a dialogue as it did before.
        self._pushes = count(int(random() * 0x10000))
        self._binds = binds
        self._throttling = throttling
        self._lineup: Lineup[SmsPart | UssdPush] = Lineup(throttling.pace)
        self._share = max(1, url.window // 2)
        """SMS and pushes take half of each window at most, so that a USSD answer never waits for them."""
        self._next_turn: asyncio.TimerHandle | None = None
        self._turns_come = False
        """Whether those who wait are looked at when the loop has told all that it has at hand."""
        self._metrics = metrics
        metrics.sms_waiting[account] = lambda: len(self._lineup)

    def clear(self) -> None:
        """Tell what waits for its turn that it is to be sent later, for the server stops."""
        for one in self._lineup.clear():
            self._settle(one, "the server stops", later=True)

    # Into the line ----------------------------------------------------------------------------------------------------

    def send_sms(self, source: str, msisdn: str, text: str, reference: int) -> asyncio.Future[SendOutcome]:
        """Send an SMS; the future is done when the SMSC has answered every part of it, or will not.

        Whoever does not wait for it any more cancels the future: what has not gone out by then stays here.
        """
        loop = asyncio.get_running_loop()
        try:
            cut = self._writer.write(source, msisdn, text, reference)
        except ValueError as error:
            return sms.known(SendOutcome("refused", str(error)))
        self.sending += 1
        if len(cut) > 1:
            long = loop.create_task(self._send_long(cut))
            long.add_done_callback(self._long_ended)
            return long
        done = loop.create_future()
        self._line_up(SmsPart(cut[0], done, True))
        return done

    async def _send_long(self, cut: Sequence[bytes]) -> SendOutcome:
        """Send all parts of an SMS; the first that was refused, or else is to come later, speaks for the whole."""
        loop = asyncio.get_running_loop()
        parts = [SmsPart(body, loop.create_future(), False) for body in cut]
        for part in parts:
            self._line_up(part)
        try:
            outcomes = [await part.done for part in parts]
        finally:
            for part in parts:  # those that have not gone out stay here, where nobody waits for the whole any more
                part.done.cancel()
        for result in ("refused", "later"):
            for outcome in outcomes:
                if outcome.result == result:
                    return outcome
        ids = tuple(id for outcome in outcomes for id in outcome.message_ids)
        return SendOutcome("sent", account=self._account, message_ids=ids if len(ids) == len(parts) else ())

    def _long_ended(self, _: object) -> None:
        self.sending -= 1

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Send a notification (`ends`) or a question, and return what the gateway said to it."""
        try:
            message = ussd.push(
                source,
                msisdn,
                self._shown(text).encoded,
                ends=ends,
                session=self._pushed_session(),
                dialect=self._dialect,
            )
        except ValueError as error:
            return PushOutcome("refused", str(error))
        push = UssdPush(message, asyncio.get_running_loop().create_future())
        self._line_up(push)
        return await push.done

    def _pushed_session(self) -> int:
        """Return a session for a dialogue that we begin, for gateways that leave its number to us."""
        mask = self._dialect.id_mask
        return next(self._pushes) * (mask & -mask) & mask

    def _line_up(self, one: SmsPart | UssdPush) -> None:
        """Let a message wait for its turn."""
        self._lineup.put(one)
        self._take_turns_soon()

    # Turns ------------------------------------------------------------------------------------------------------------

    def _take_turns_soon(self) -> None:
        """See to those who wait, once for all that commits and responses bring within this turn of the loop."""
        if not self._turns_come and self._lineup.waits:
            self._turns_come = True
            asyncio.get_running_loop().call_soon(self.take_turns)

    def take_turns(self) -> None:
        """Send the SMS and pushes whose turn it is, and come back when it is the next one's."""
        self._turns_come = False
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        senders = self._binds.senders()
        if not senders:
            for one in self._lineup.clear():
                self._settle(one, NO_LINK, later=True)
            return
        room = self._share * len(senders)
        loop = asyncio.get_running_loop()
        now, lineup = loop.time(), self._lineup
        loads = [one.load for one in senders]
        texts: list[list[Submitted]] = [[] for _ in senders]
        while (waiting := lineup.take(now, room)) is not None:
            one = waiting.message
            if one.done.done():  # nobody waits for it any more
                lineup.ended()
                self._settle(one, "")
                continue
            least = loads.index(min(loads))
            loads[least] += 1
            if type(one) is SmsPart:
                texts[least].append((one.body, waiting))
            elif type(one) is UssdPush:
                self._submit(senders[least], texts[least])
                texts[least] = []
                self._metrics.pdus["out", "submit_sm"] += 1
                if not senders[least].send(one.message, waiting):
                    self._no_link(waiting)
        for sender, requests in zip(senders, texts, strict=True):
            self._submit(sender, requests)
        wait = lineup.wait(now, room)
        if wait is not None:
            self._next_turn = loop.call_later(wait, self.take_turns)

    def _submit(self, sender: Binding, requests: list[Submitted]) -> None:
        """Send SMS together; their responses are of use only where receipts are to be matched to them."""
        if requests:
            self._metrics.pdus["out", "submit_sm"] += len(requests)
            for waiting in sender.submit(requests, not self._tells_ends):
                self._no_link(waiting)

    def _no_link(self, waiting: Waiting[SmsPart | UssdPush]) -> None:
        self._lineup.ended()
        self._settle(waiting.message, NO_LINK, later=True)

    # What became of it ------------------------------------------------------------------------------------------------

    def taken(self, waiting: Waiting[SmsPart | UssdPush], message_id: str = "") -> None:
        """Tell who waits that the SMSC took it."""
        one = waiting.message
        self._lineup.accepted(asyncio.get_running_loop().time())
        if type(one) is SmsPart:
            outcome = self._sent
            if self._tells_ends and message_id:
                id = receipts.same_id(message_id, self._submit_base)
                outcome = SendOutcome("sent", account=self._account, message_ids=(id,))
            self._sms_ended(one, outcome)
        else:
            self._settle(one, "")
        self._take_turns_soon()

    def turned_down(self, waiting: Waiting[SmsPart | UssdPush], status: int) -> None:
        """Keep for later what the SMSC will take then; tell who waits of all else."""
        one = waiting.message
        if status in THROTTLED:
            self._throttling.throttled(status)
            if isinstance(one, UssdPush):
                self._lineup.ended()  # it has a time of its own, which may be over by then
                self._settle(one, status_name(status), later=True)
            elif not self._lineup.throttled(waiting, asyncio.get_running_loop().time()):
                self._settle(one, status_name(status), later=True)
        else:
            self._metrics.pdu_errors["out", status_name(status)] += 1
            self._lineup.ended()
            busy = isinstance(one, UssdPush) and self._dialect.statuses.get(status) == BUSY
            self._settle(one, status_name(status), later=status in self._transient or busy)
        self._take_turns_soon()

    def lost(self, waiting: Waiting[SmsPart | UssdPush], cause: str) -> None:
        """Give up waiting for a response: nobody knows whether the SMSC took it."""
        self._lineup.ended()
        self._settle(waiting.message, cause, later=True, known=False)
        self._take_turns_soon()

    def _sms_ended(self, part: SmsPart, outcome: SendOutcome) -> None:
        if part.whole:
            self.sending -= 1
        if not part.done.done():
            part.done.set_result(outcome)

    def _settle(self, one: SmsPart | UssdPush, reason: str, *, later: bool = False, known: bool = True) -> None:
        """Tell who waits what became of a submit: no `reason`, it was taken; not `known`, nobody answered it."""
        if isinstance(one, SmsPart):
            self._sms_ended(one, SendOutcome("later" if later else "refused" if reason else "sent", reason))
        elif not one.done.done():
            unlucky: Literal["unknown", "later", "refused"]
            unlucky = "unknown" if not known else "later" if later else "refused"
            one.done.set_result(PushOutcome(unlucky if reason else "accepted", reason))


def _spelling(url: SmscUrl) -> sms.Spelling:
    return sms.Spelling(
        url.source_ton,
        url.source_npi,
        url.dest_ton,
        url.dest_npi,
        url.sms_gsm,
        url.sms_ucs2,
        url.default_alphabet or "gsm",
        url.long,
        url.receipts,
    )
