"""The way out of what answers no USSD step: SMS and pushes wait for their turn, and are told what became of them."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, Literal, TypeAlias

from smpp import receipts, ussd
from smpp.binding import Binding
from smpp.constants import HEADER_OCTETS, CommandId, status_name
from smpp.dialect import Dialect
from smpp.errors import THROTTLED, TRANSIENT
from smpp.pdu import Packed, encode
from smpp.replies import Shown
from ussd_server.channels import sms
from ussd_server.channels.binds import NO_LINK, Binds
from ussd_server.channels.lineup import Lineup, Waiting
from ussd_server.channels.sms import SendOutcome, SmsTold
from ussd_server.channels.throttling import Throttling
from ussd_server.channels.ussd import PushOutcome
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl

BUSY: Final = "busy"
"""What a dialect calls the status of a gateway whose subscriber has a dialogue already."""


class Sms(Waiting, gc=False, eq=False):
    """The body of a submit_sm that is an SMS, and the tag of that.

    It is the tag of its PDU, as all that is submitted here.
    """

    body: bytes
    tag: Any


class SmsPart(Waiting, gc=False, eq=False):
    """The body of a submit_sm that is a part of a long SMS, and which one, from 0."""

    body: bytes
    long: "LongSms"
    place: int


class UssdPush(Waiting, gc=False, eq=False):
    """The body of what begins a dialogue from our side, in the command that the dialect has; and what becomes of it."""

    body: bytes
    done: asyncio.Future[PushOutcome]


Submission: TypeAlias = Sms | SmsPart | UssdPush


class LongSms:
    """A long SMS under way, which has ended when all of its parts have."""

    def __init__(self, tag: object, parts: int) -> None:
        self.tag = tag
        self._left = parts
        self._outcomes = [SendOutcome("sent")] * parts

    def part_ended(self, place: int, outcome: SendOutcome) -> SendOutcome | None:
        """Note what became of a part; return what became of the whole, None while others are under way.

        The first that was refused, or else is to come later, speaks for the whole.
        """
        outcomes = self._outcomes
        outcomes[place] = outcome
        self._left -= 1
        if self._left:
            return None
        for result in ("refused", "later"):
            for each in outcomes:
                if each.result == result:
                    return each
        ids = tuple(id for each in outcomes for id in each.message_ids)
        return SendOutcome("sent", account=outcome.account, message_ids=ids if len(ids) == len(outcomes) else ())


class Outgoing:
    """Sends the SMS and pushes of one account; `shown` encodes a screen, `random` gives numbers in [0, 1).

    `told` hears what became of SMS.
    """

    def __init__(
        self,
        url: SmscUrl,
        dialect: Dialect,
        shown: Callable[[str], Shown],
        random: Callable[[], float],
        told: SmsTold,
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
        self._told = told
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
        self._lineup: Lineup[Submission] = Lineup(throttling.pace)
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

    def send_sms(self, source: str, msisdn: str, text: str, id: str, tag: object) -> SendOutcome | None:
        """Send an SMS; by its tag is told what became of it, when the SMSC has answered every part of it or will not.

        Returns the outcome where it is known at once; then nobody is told.
        """
        try:
            cut = self._writer.write(source, msisdn, text, id)
        except ValueError as error:
            return SendOutcome("refused", str(error))
        self.sending += 1
        if len(cut) == 1:
            self._lineup.put(Sms(cut[0], tag))
        else:
            long = LongSms(tag, len(cut))
            for place, body in enumerate(cut):
                self._lineup.put(SmsPart(body, long, place))
        if not self._turns_come:
            self._take_turns_soon()
        return None

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Send a notification (`ends`) or a question, and return what the gateway said to it."""
        try:
            push_sm = ussd.push(
                source,
                msisdn,
                self._shown(text).encoded,
                ends=ends,
                session=self._pushed_session(),
                dialect=self._dialect,
            )
            body = encode(push_sm)[HEADER_OCTETS:]
        except ValueError as error:
            return PushOutcome("refused", str(error))
        push = UssdPush(body, asyncio.get_running_loop().create_future())
        self._lineup.put(push)
        self._take_turns_soon()
        try:
            return await push.done
        except asyncio.CancelledError:
            self._lineup.withdraw(push)  # what has not gone out stays here
            raise

    def _pushed_session(self) -> int:
        """Return a session for a dialogue that we begin, for gateways that leave its number to us."""
        mask = self._dialect.id_mask
        return next(self._pushes) * (mask & -mask) & mask

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
        taken = lineup.take(now, room)
        if taken:
            self._metrics.pdus["out", "submit_sm"] += len(taken)
            for sender, share in zip(senders, _shared_out(taken, senders), strict=True):
                for one in self._submit(sender, share):
                    lineup.ended()
                    self._settle(one, NO_LINK, later=True)
        wait = lineup.wait(now, room)
        if wait is not None:
            self._next_turn = loop.call_later(wait, self.take_turns)

    def _submit(self, sender: Binding, share: Sequence[Submission]) -> list[Submission]:
        """Send these by one link, and return those that it did not take."""
        # Responses are of use only where receipts are to be matched to them.
        brief = not self._tells_ends
        if self._dialect.submit == CommandId.SUBMIT_SM:
            return sender.submit(share, brief)
        pushes = [one for one in share if isinstance(one, UssdPush)]
        left = sender.submit([one for one in share if not isinstance(one, UssdPush)], brief)
        return [*left, *(one for one in pushes if not sender.send(Packed(self._dialect.submit, one.body), one))]

    # What became of it ------------------------------------------------------------------------------------------------

    def sms_taken(self, every: Sequence[Sms]) -> None:
        """Note that the SMSC took SMS of which nothing more is to be heard."""
        self._lineup.accepted(asyncio.get_running_loop().time(), len(every))
        self.sending -= len(every)
        self._take_turns_soon()  # whatever breaks in who is told
        self._told([one.tag for one in every], self._sent)

    def taken(self, one: Submission, message_id: str = "") -> None:
        """Tell who waits that the SMSC took it, and calls it so."""
        self._lineup.accepted(asyncio.get_running_loop().time())
        self._take_turns_soon()
        if isinstance(one, UssdPush):
            self._settle(one, "")
        else:
            outcome = self._sent
            if self._tells_ends and message_id:
                id = receipts.same_id(message_id, self._submit_base)
                outcome = SendOutcome("sent", account=self._account, message_ids=(id,))
            self._sms_ended(one, outcome)

    def turned_down(self, one: Submission, status: int) -> None:
        """Keep for later what the SMSC will take then; tell who waits of all else."""
        if status in THROTTLED:
            self._throttling.throttled(status)
            if isinstance(one, UssdPush):
                self._lineup.ended()  # it has a time of its own, which may be over by then
                self._settle(one, status_name(status), later=True)
            elif not self._lineup.throttled(one, asyncio.get_running_loop().time()):
                self._settle(one, status_name(status), later=True)
        else:
            self._metrics.pdu_errors["out", status_name(status)] += 1
            self._lineup.ended()
            busy = isinstance(one, UssdPush) and self._dialect.statuses.get(status) == BUSY
            self._settle(one, status_name(status), later=status in self._transient or busy)
        self._take_turns_soon()

    def lost(self, one: Submission, cause: str) -> None:
        """Give up waiting for a response: nobody knows whether the SMSC took it."""
        self._lineup.ended()
        self._take_turns_soon()
        self._settle(one, cause, later=True, known=False)

    def _sms_ended(self, one: Sms | SmsPart, outcome: SendOutcome) -> None:
        whole: SendOutcome | None = outcome
        if isinstance(one, SmsPart):
            whole = one.long.part_ended(one.place, outcome)
        if whole is not None:
            self.sending -= 1
            self._told((one.tag if isinstance(one, Sms) else one.long.tag,), whole)

    def _settle(self, one: Submission, reason: str, *, later: bool = False, known: bool = True) -> None:
        """Tell who waits what became of a submit: no `reason`, it was taken; not `known`, nobody answered it."""
        if not isinstance(one, UssdPush):
            self._sms_ended(one, SendOutcome("later" if later else "refused" if reason else "sent", reason))
        elif not one.done.done():
            unlucky: Literal["unknown", "later", "refused"]
            unlucky = "unknown" if not known else "later" if later else "refused"
            one.done.set_result(PushOutcome(unlucky if reason else "accepted", reason))


def _shared_out(messages: list[Submission], senders: Sequence[Binding]) -> list[list[Submission]]:
    """Give each message to the bind that has the least to do then."""
    if len(senders) == 1:
        return [messages]
    loads = [one.load for one in senders]
    shares: list[list[Submission]] = [[] for _ in senders]
    for message in messages:
        least = loads.index(min(loads))
        loads[least] += 1
        shares[least].append(message)
    return shares


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
