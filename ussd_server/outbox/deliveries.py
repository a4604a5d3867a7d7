"""What becomes of SMS after the SMSC took them: receipts find their SMS, and each SMS ends in the journal.

The message ids are in the subscriber's record from the commit that removes the SMS from the outbox, so any server of
the store can match a receipt, after a restart, too. A receipt that is faster than that commit becomes an outbox entry
behind the SMS of this subscriber that are under way, and is looked at again after them
(`docs/decisions/0012-receipts-found-in-the-record.md`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from menus.session import Values
from smpp.receipts import Outcome, Receipt, outcome_of
from ussd_server.channels.sms import SendOutcome
from ussd_server.metrics import Metrics
from ussd_server.stores.base import Change, JournalEntry, OutboxEntry, Store, StoreUnavailable
from ussd_server.subscribers import deliveries
from ussd_server.subscribers.deliveries import Awaited, Ended
from ussd_server.turns.turn import Turn

MAX_CONFLICTS: Final = 32
"""Commits that may fail because something else changed the subscriber; each time somebody made progress."""


class Deliveries:
    """Follows SMS to their end. `now` is in ms, `new_id` makes ids of outbox entries, `work_waits` wakes the outbox."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        now: Callable[[], int],
        new_id: Callable[[], str],
        work_waits: Callable[[], None],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._now = now
        self._new_id = new_id
        self._work_waits = work_waits

    async def take(self, account: str, msisdns: Sequence[str], receipt: Receipt) -> None:
        """Note durably what a receipt says of an SMS to one of these numbers; raises StoreUnavailable.

        `receipt.message_id` is in the form in which `sent` got the ids.
        """
        self._metrics.receipts["unreadable" if receipt.state is None else receipt.state.name.lower()] += 1
        outcome = outcome_of(receipt.state)
        if outcome is None or not receipt.message_id:
            return
        said = _Said(account, receipt.message_id, outcome, receipt.error)
        for msisdn in msisdns:
            if await self._take(msisdn, said):
                return
        self._metrics.deliveries["unmatched"] += 1

    async def _take(self, msisdn: str, said: "_Said") -> bool:
        """Apply a receipt, or keep it for when the SMS of this number are sent; False where nobody has the number."""
        for _ in range(MAX_CONFLICTS):
            record, version = await self._store.load(msisdn)
            received = deliveries.receive(record.awaited, *said)
            if received is None:
                if version == 0:
                    return False
                entry = OutboxEntry(self._new_id(), "receipt", self._now(), said._asdict())
                if await self._store.commit(Change(version, record, outbox=(entry,))):
                    self._work_waits()
                    return True
            elif received.awaited == record.awaited:
                return True
            else:
                ended = _some(received.ended)
                change = Change(
                    version,
                    replace(record, awaited=received.awaited),
                    journal=[self._entry(each) for each in ended],
                    dropped=[timer(each.sms) for each in ended],
                )
                if await self._store.commit(change):
                    self._count(ended)
                    return True
        raise StoreUnavailable(f"the subscriber was changed {MAX_CONFLICTS} times meanwhile")

    # Parts of the commits that outbox entries end in ------------------------------------------------------------------

    def sent(self, turn: Turn, sms: str, outcome: SendOutcome) -> None:
        """Let the turn await the receipts of an SMS, and the end of their time."""
        new = Awaited(outcome.account, turn.now, dict.fromkeys(outcome.message_ids, ""))
        awaited, ended = deliveries.await_receipts(turn.record.awaited, sms, new)
        until = turn.now + turn.tools.sms_validity_ms  # as long as an SMS is worth delivering
        turn.outbox.append(OutboxEntry(timer(sms), "delivery", until, {"sms": sms}))
        self._end(turn, awaited, ended)
        turn.dropped += [timer(each.sms) for each in ended]

    def look_again(self, turn: Turn, data: Values) -> None:
        """Let the turn apply a receipt that came before its SMS was known to be sent: now it is, or it is not ours."""
        received = deliveries.receive(turn.record.awaited, *_Said(**data))
        if received is None:
            self._metrics.deliveries["unmatched"] += 1
        else:
            ended = _some(received.ended)
            self._end(turn, received.awaited, ended)
            turn.dropped += [timer(each.sms) for each in ended]

    def give_up(self, turn: Turn, sms: str) -> None:
        """Let the turn end an SMS whose receipts did not come in time."""
        received = deliveries.give_up(turn.record.awaited, sms)
        self._end(turn, received.awaited, _some(received.ended))

    def _end(self, turn: Turn, awaited: dict[str, Awaited], ended: Iterable[Ended]) -> None:
        turn.record = replace(turn.record, awaited=awaited)
        turn.journal += [self._entry(each) for each in ended]
        self._count(ended)

    def _entry(self, ended: Ended) -> JournalEntry:
        sms, awaited, outcome = ended
        told: Values = {"outcome": outcome, "sent": awaited.sent}
        if awaited.error:
            told["error"] = awaited.error
        if len(awaited.parts) > 1:
            told["parts"] = len(awaited.parts)
        return JournalEntry(self._now(), "sms ended", {**told, "sms": sms})

    def _count(self, ended: Iterable[Ended]) -> None:
        for each in ended:
            self._metrics.deliveries[each.outcome] += 1


class _Said(NamedTuple):
    """A final receipt: whose, of which message, how that ended and why."""

    account: str
    message_id: str
    outcome: Outcome
    error: str


def timer(sms: str) -> str:
    """Return the id of the outbox entry that ends the wait for an SMS's receipts."""
    return f"{sms}.end"


def _some(ended: Ended | None) -> tuple[Ended, ...]:
    return () if ended is None else (ended,)
