"""How each kind of outbox entry is performed: an SMS is sent, an order placed, a slow query asked, a code made or
ordered, an owner told of a lock.

What comes of it goes through the engine as any input does, and is committed together with the entry's removal. Where
that commit finds the entry gone, another server was faster and nothing is done twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from msgspec.structs import replace

from menus.engine import conclude
from menus.events import Answered
from menus.own_texts import say
from ussd_server.channels.sms import SMS, Sender, SendOutcome, reference_of
from ussd_server.log import mask
from ussd_server.operators.base import Operator, OperatorUnavailable
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.outbox.outcomes import (
    FINISHED,
    FIRST_WAIT_MS,
    Done,
    Hopeless,
    Later,
    Performed,
    Performer,
    wait_ms,
)
from ussd_server.outbox.pushes import Pusher
from ussd_server.secrecy import vault
from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.base import Claimed, JournalEntry, OutboxKind, Store, StoreUnavailable
from ussd_server.subscribers import codes
from ussd_server.terminals.notices import tell_of_lock
from ussd_server.turns import parts
from ussd_server.turns.operations import UNAVAILABLE, Ended, InProgress, order_code_at_terminal, place_order
from ussd_server.turns.resources import Resources
from ussd_server.turns.turn import Tools, Turn

log = structlog.get_logger()

MAX_CONFLICTS = 32
"""Commits that may fail because something else changed the subscriber; each time somebody made progress."""

ASK_MS = 30_000
"""How long the operator may take for what follows from an outbox entry (ms); nobody holds a phone to the ear meanwhile.

To give up waiting for an order is safe: it is asked after by its id, and placed again only where it never arrived.
"""

LONGEST_CROWDED_MS = 8_000
"""The longest wait of an SMS whose account is busy with others. Longer ones would leave the account idle meanwhile."""

NOTE_WAIT_S = 1.0
NOTE_TRIES = 60
"""How long a store that is away is waited for to note that an SMS was sent, which is cheaper than to send it twice."""

ASK_TRIES = 12
"""After so many tries, 6 to 12 minutes, the promised SMS says that it is not possible now."""


class Performers:
    """Performs outbox entries of every kind. `pause` waits so many seconds."""

    def __init__(
        self,
        store: Store,
        resources: Resources,
        network: Sender,
        operator: Operator,
        safe: vault.Vault,
        hasher: vault.CodeHasher,
        tools: Tools,
        sender: str,
        pusher: Pusher,
        deliveries: Deliveries,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pause = pause
        self._store = store
        self._resources = resources
        self._network = network
        self._operator = operator
        self._vault = safe
        self._hasher = hasher
        self._tools = tools
        self._sender = sender
        self._pusher = pusher
        self._deliveries = deliveries

    def by_kind(self) -> dict[OutboxKind, Performer]:
        """Return what performs each kind of entry."""
        return {
            "sms": self.send_sms,
            "command": self.place_order,
            "query": self.ask,
            "code": self.make_code,
            "code_order": self.order_code,
            "lock_notice": self.tell_of_lock,
            "letters": self.expire_letters,
            "push": self._pusher.push,
            "receipt": self.take_receipt,
            "delivery": self.give_up_delivery,
        }

    def send_sms(self, claimed: Claimed) -> Performed | Awaitable[Performed] | None:
        """Send an SMS. The network has the entry as its tag, and tells `sms_ended` of it."""
        data = claimed.entry.data
        text = data.get("text")
        if text is None:
            text = self._unsealed(claimed)
            if not isinstance(text, str):
                return text
        outcome = self._network.send_sms(
            data.get("account", ""), data["from"] or self._sender, claimed.msisdn, text, claimed.entry.id, claimed
        )
        return None if outcome is None else self._known(claimed, outcome)

    def _unsealed(self, claimed: Claimed) -> str | Performed:
        """Return the text of an SMS that holds an access code."""
        try:
            return self._vault.open_text(claimed.entry.data["sealed"], claimed.msisdn, claimed.entry.id).reveal()
        except vault.UnknownKey as error:
            return Later(str(error))
        except vault.VaultError as error:
            return Hopeless(str(error))

    def _known(self, claimed: Claimed, outcome: SendOutcome) -> Performed | Awaitable[Performed]:
        """Return what came of an SMS whose outcome is known at once, or is to be awaited for that."""
        if outcome.crowded:  # nothing failed: it must be there when there is room, however often there was none
            longest = min(wait_ms(claimed.tries), LONGEST_CROWDED_MS)
            # Not all at the same moment.
            spread = FIRST_WAIT_MS + (longest - FIRST_WAIT_MS) * reference_of(claimed.entry.id) // 0xFFFF
            return Later(outcome.reason, self._tools.clock() + spread)
        came = self.sms_ended(outcome)
        return came if isinstance(came, Performed) else came(claimed)

    def sms_ended(self, outcome: SendOutcome) -> Performed | Callable[[Claimed], Awaitable[Performed]]:
        """Return what comes of an SMS that ended so, or what is to be done for that."""
        if outcome.result == "sent":
            # Without an id nothing more will be heard of it.
            return partial(self._await_receipts, outcome) if outcome.message_ids else FINISHED
        if outcome.result == "later":
            return Later(outcome.reason)
        return Hopeless(f"the SMSC refused it: {outcome.reason}")

    async def _await_receipts(self, outcome: SendOutcome, claimed: Claimed) -> Performed:
        """Note whose receipts are to come; the SMSC has the SMS, which is not sent again where that cannot be noted."""

        async def work(turn: Turn) -> None:
            self._deliveries.sent(turn, claimed.entry.id, outcome)

        cause = ""
        for _ in range(NOTE_TRIES):
            try:
                return await self._settle(claimed, work)
            except StoreUnavailable as error:
                cause = str(error)
                await self._pause(NOTE_WAIT_S)
            except Exception as error:
                cause = repr(error)
                break
        log.error(
            "sent, but its receipts will find nothing", msisdn=mask(claimed.msisdn), id=claimed.entry.id, cause=cause
        )
        return FINISHED

    async def place_order(self, claimed: Claimed) -> Performed:
        """Place an order with the operator and tell the subscriber what came of it."""
        data = claimed.entry.data
        try:
            async with asyncio.timeout(ASK_MS / 1000):
                ended = await place_order(
                    self._operator, claimed.entry.id, claimed.msisdn, data["arguments"], again=claimed.attempt > 1
                )
        except TimeoutError:
            return Later(_no_answer())
        except OperatorUnavailable as error:
            return Later(str(error))
        if isinstance(ended, InProgress):
            return Later("the operator has not finished it")
        return await self._settle(claimed, self._conclude(claimed, ended))

    def _conclude(self, claimed: Claimed, ended: Ended) -> Callable[[Turn], Awaitable[None]]:
        async def work(turn: Turn) -> None:
            order = claimed.entry.id
            pending = turn.record.pending.get(order)
            told = {"order": order, "outcome": ended.outcome}
            if ended.reason:
                told["reason"] = ended.reason
            turn.journal.append(JournalEntry(turn.now, "order ended", told))
            if pending is not None:
                turn.apply(conclude(turn.flow, pending, ended.outcome, ended.value, turn.now, turn.facts(SMS)))
                rest = {id: one for id, one in turn.record.pending.items() if id != order}
                turn.record = replace(turn.record, pending=rest)

        return work

    async def ask(self, claimed: Claimed) -> Performed:
        """Ask again what the dialogue could not wait for, and go on with the session by SMS."""
        data = claimed.entry.data
        reason = "the operator is out of reach"
        try:
            async with asyncio.timeout(ASK_MS / 1000):
                outcome, value = await self._tools.queries.ask(data["operation"], claimed.msisdn, data["arguments"])
        except TimeoutError:
            (outcome, value), reason = UNAVAILABLE, _no_answer()
        if outcome == "unavailable" and claimed.tries < ASK_TRIES:
            return Later(reason)

        async def work(turn: Turn) -> None:
            shown = await turn.play(Answered(data["ask"], outcome, value), SMS, place=data["ask"])
            if shown is not None:
                turn.send(shown.text)

        return await self._settle(claimed, work)

    async def make_code(self, claimed: Claimed) -> Performed:
        """Make a new access code, keep it sealed, and put the SMS that tells it into the outbox, sealed as well."""
        record, _ = await self._store.load(claimed.msisdn)
        generation = record.access.generation + 1
        code = vault.generate(self._tools.policy.digits)
        sealed = await self._hasher.seal(code, claimed.msisdn, generation)

        async def work(turn: Turn) -> None:
            match codes.issue(turn.record.access, sealed, generation, turn.now):
                case codes.Issued(access=access):
                    turn.record = replace(turn.record, access=access)
                case codes.Outdated():
                    raise _Outdated
            text = Secret(self._code_text(turn, code))
            entry = turn.sms(self._tools.new_id(), "")
            boxed = self._vault.seal_text(text, claimed.msisdn, entry.id)
            data = {"from": turn.number, "sealed": boxed, "account": turn.account}
            turn.outbox.append(replace(entry, data=data))
            turn.journal.append(JournalEntry(turn.now, "code issued", {"generation": generation}))

        try:
            return await self._settle(claimed, work)
        except _Outdated:
            return Later("another code was issued meanwhile")

    def _code_text(self, turn: Turn, code: Secret[str]) -> str:
        language = turn.record.language or turn.flow.default_language
        return say(turn.flow, "code_sms", {"code": code.reveal()}, language)

    async def order_code(self, claimed: Claimed) -> Performed:
        """Order a code as it was asked for at a terminal; where that may not be, only the journal says so."""

        async def work(turn: Turn) -> None:
            acted = order_code_at_terminal(turn.record, turn.tools.new_id(), turn.now, turn.tools.policy)
            asked = {"terminal": claimed.entry.data["terminal"], "outcome": acted.outcome}
            turn.journal.append(JournalEntry(turn.now, "code asked for", asked))
            turn.take_over(acted)

        return await self._settle(claimed, work)

    async def tell_of_lock(self, claimed: Claimed) -> Performed:
        """Tell the owner of a lock that came about because nobody settled the last try, if it is still closed."""

        async def work(turn: Turn) -> None:
            tell_of_lock(turn, claimed.entry.data["terminal"])

        return await self._settle(claimed, work)

    async def expire_letters(self, claimed: Claimed) -> Performed:
        """Give up the long SMS whose missing parts did not come in time."""

        async def work(turn: Turn) -> None:
            # Another server's clock may have set the time.
            parts.expire(self._resources, turn, max(turn.now, claimed.entry.due))

        return await self._settle(claimed, work)

    async def take_receipt(self, claimed: Claimed) -> Performed:
        """Look at a receipt again that was faster than the commit that makes its SMS known."""

        async def work(turn: Turn) -> None:
            self._deliveries.look_again(turn, claimed.entry.data)

        return await self._settle(claimed, work)

    async def give_up_delivery(self, claimed: Claimed) -> Performed:
        """End an SMS whose receipts did not come in time."""

        async def work(turn: Turn) -> None:
            self._deliveries.give_up(turn, claimed.entry.data["sms"])

        return await self._settle(claimed, work)

    async def _settle(self, claimed: Claimed, work: Callable[[Turn], Awaitable[None]]) -> Performed:
        """Do the work on the newest record and commit it with the entry's removal."""
        data = claimed.entry.data
        seen = -1
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(claimed.msisdn)
            if version == seen:
                return Done()  # nothing but the entry can have made the commit fail: another server settled it
            seen = version
            now = self._tools.clock()
            turn = Turn(
                self._resources.flow,
                record,
                version,
                now,
                now + ASK_MS,
                self._tools,
                data.get("account", ""),
                data.get("number", ""),
            )
            await work(turn)
            if await self._store.commit(turn.change(settled=(claimed.entry.id,))):
                return Done()
        raise StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")


class _Outdated(Exception):
    """The code was made for a generation that another one took."""


def _no_answer() -> str:
    return f"the operator did not answer in {ASK_MS / 1000:g} s"
