"""Pushes: a text that we show, or a screen that we open, on a phone whose owner did not dial. Pure.

A push waits in the outbox. Before it is sent, the record says that it is under way (`record.push`), and where the
screen waits for an answer also holds its session, so that whichever server hears of it next knows what it belongs to.

| under way | what happens | it ends as |
|---|---|---|
| not sent, or unknown | its time is over; consent is taken back; never taken | `expired`, `no_consent`, `refused` |
| a notification | the phone confirms; the dialogue ends; nothing by the timer | `confirmed`, `aborted`, `unconfirmed` |
| a question | an answer; the dialogue ends; nothing by the timer | `answered`, `aborted`, `unanswered` |
| a question | its owner dials a code instead | `left` |

An answer that comes after the timer reads that the session is over, and is counted as `late`. The gateway names the
dialogue, which only its first message tells: until then whatever this subscriber says by that account belongs to the
push, but for repetitions of what was said before.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from menus.entries import Category, Push
from menus.session import Session
from ussd_server.channels.base import Input
from ussd_server.stores.base import JournalEntry, OutboxEntry
from ussd_server.subscribers.record import Exchange, Pushed, PushKind, Subscriber
from ussd_server.turns.quiet import QuietHours
from ussd_server.turns.redelivery import USSD_WINDOW_MS, is_repetition

BUSY_MS: Final = 30_000
"""Between two looks whether a subscriber's dialogue is over."""

LATE: Final = "push answered late"
"""What the journal calls an answer that came after the timer."""
QUEUED: Final = "single push queued"
CAMPAIGN_QUEUED: Final = "push queued"
"""What it calls a push that was queued; of campaigns it keeps more, so that none calls on anybody twice.

Older versions called every push as those of campaigns are called: so what they noted is kept and found, and they find
what this one notes.
"""

READING_MS: Final = 10_000
"""How long somebody who has just come to a last screen is left to read it."""

Result: TypeAlias = Literal[
    "confirmed",
    "answered",
    "unconfirmed",
    "unanswered",
    "aborted",
    "left",
    "late",
    "expired",
    "no_consent",
    "refused",
    "not_served",
    "no_such_screen",
    "wrong_kind",
    "too_long",
]
"""How a push ends. Beside the table above: the gateway refused it for good; the service is not there for this number;
the flow has no such push any more; the screen waits where a notification does not, or the other way round; the text
does not fit a screen."""


class PushOrder(msgspec.Struct, frozen=True):
    """What is to be pushed: a `text`, or the flow's push `screen`. Goes into the outbox as an entry's data.

    `kind` "" leaves it to the screen whether it waits for an answer. `until` is when it is worth nothing any more (ms).
    `account` "" is any that is bound; `source` "" the server's own number. `campaign` is a name that the operator gave.
    """

    until: int
    kind: PushKind | Literal[""] = ""
    text: str = ""
    screen: str = ""
    category: Category = "offer"
    urgent: bool = False
    account: str = ""
    source: str = ""
    campaign: str = ""

    def about(self, id: str) -> dict[str, str]:
        """Return what the journal says of it."""
        told = {"push": id, "category": self.category, "screen": self.screen, "text": self.text}
        return {name: value for name, value in (told | {"campaign": self.campaign}).items() if value}


def timed(order: PushOrder, now: int) -> PushOrder:
    """Return the order whose `until` was so long (ms), with the time from now on."""
    return replace(order, until=now + order.until)


def entry(order: PushOrder, id: str, due: int) -> OutboxEntry:
    """Return a push as an entry of the outbox. It expires by its own rules, which keep how it ended."""
    return OutboxEntry(id, "push", due, msgspec.to_builtins(order))


def read(entry: OutboxEntry) -> PushOrder:
    """Return what an entry of the outbox orders."""
    return msgspec.convert(entry.data, PushOrder)


class Queued(msgspec.Struct, frozen=True):
    """What is to be committed so that a push is sent."""

    outbox: Sequence[OutboxEntry]
    journal: Sequence[JournalEntry]


def queue(record: Subscriber, order: PushOrder, id: str, now: int, due: int) -> Queued | None:
    """Return the push as work to be done at `due`, None where the subscriber does not consent to it."""
    if not consents(record, order.category):
        return None
    note = JournalEntry(now, CAMPAIGN_QUEUED if order.campaign else QUEUED, order.about(id))
    return Queued((entry(order, id, due),), (note,))


def order_of(push: Push, now: int, account: str = "") -> tuple[PushOrder, int]:
    """Return what a flow's push entry orders when the flow asks for it now, and when it is due."""
    due = now + push.after_ms
    order = PushOrder(
        until=due + push.within_ms, screen=push.name, category=push.category, urgent=push.urgent, account=account
    )
    return order, due


# Consent ----------------------------------------------------------------------------------------------------------


def consents(record: Subscriber, category: Category) -> bool:
    """Whether a push of this category may be sent: what the subscriber asked for always, offers to who wants them."""
    return category == "service" or record.offers_at > 0


def with_consent(
    record: Subscriber, wants: bool, by: str, now: int, reason: str = ""
) -> tuple[Subscriber, JournalEntry]:
    """Return the record of who wants offers, or wants no more of them, and what the journal says of it."""
    told = {"by": by} | ({"reason": reason} if reason else {})
    note = JournalEntry(now, "offers accepted" if wants else "offers refused", told)
    return replace(record, offers_at=now if wants else 0), note


# Before it is sent ------------------------------------------------------------------------------------------------


class Go(msgspec.Struct, frozen=True):
    """It may be sent now."""


class Wait(msgspec.Struct, frozen=True):
    """It cannot be sent before `until` (ms)."""

    until: int
    reason: str


class End(msgspec.Struct, frozen=True):
    """It is over."""

    result: Result
    reason: str = ""


def decide(record: Subscriber, order: PushOrder, id: str, now: int, quiet: QuietHours) -> Go | Wait | End:
    """Say what is to become of a push now."""
    push = record.push
    if push is not None and push.id == id and push.sent:
        if now < push.until:
            return Wait(push.until, "the phone has it")
        return End("unconfirmed" if push.kind == "notify" else "unanswered")
    if not consents(record, order.category):
        return End("no_consent")
    wait = _wait(record, order, id, now, quiet)
    if now >= order.until:
        return End("expired", wait.reason if wait else "no link took it in time")
    return Go() if wait is None else Wait(min(wait.until, order.until), wait.reason)


def _wait(record: Subscriber, order: PushOrder, id: str, now: int, quiet: QuietHours) -> Wait | None:
    push = record.push
    if push is not None and push.id != id and now < push.until:
        return Wait(push.until, "another push is under way")
    over = None if order.urgent else quiet.end(now)
    if over is not None:
        return Wait(over, "quiet hours")
    return _busy(record.exchanges.get("ussd"), now)


def _busy(last: Exchange | None, now: int) -> Wait | None:
    """Say whether a subscriber has a dialogue on the screen that began without us, or has just come to its end."""
    if last is None or last.dialogue.startswith(_OURS):
        return None
    if last.ends:
        reads = last.at + READING_MS if last.text is not None else 0
        return Wait(reads, "the subscriber reads the end of a dialogue") if now < reads else None
    return Wait(now + BUSY_MS, "the subscriber is in a dialogue") if now - last.at < USSD_WINDOW_MS else None


def begun(record: Subscriber, push: Pushed, session: Session | None, screen: str, now: int) -> Subscriber:
    """Return the record of who is being called on, with the session that a question begins."""
    if session is None:
        return replace(record, push=push)
    earlier = record.push
    if earlier is not None and earlier.id == push.id and earlier.kind == "ask":
        push = replace(push, before=earlier.before, session=earlier.session)
    else:
        before = record.exchanges.get("ussd")
        if before is not None and before.dialogue.startswith(_OURS):
            before = None
        push = replace(push, before=before, session=record.sessions.get("ussd"))
    marked = {**record.exchanges, "ussd": _mark(f"{_OURS}{push.id}", screen, False, now)}
    return replace(record, push=push, sessions={**record.sessions, "ussd": session}, exchanges=marked)


def sent(record: Subscriber, id: str, until: int) -> Subscriber | None:
    """Return the record once the gateway took the push; None where it is over already, or somebody dialled."""
    push = record.push
    return None if push is None or push.id != id else replace(record, push=replace(push, sent=True, until=until))


def taken_back(record: Subscriber, id: str) -> Subscriber:
    """Return the record as if this push had not been begun: nothing of it has reached the phone."""
    push = record.push
    if push is None or push.id != id:
        return record
    if push.kind == "notify":
        return replace(record, push=None)
    sessions = {place: one for place, one in record.sessions.items() if place != "ussd"}
    exchanges = {place: one for place, one in record.exchanges.items() if place != "ussd"}
    if push.before is not None:
        exchanges["ussd"] = push.before
    if push.session is not None:
        sessions["ussd"] = push.session
    return replace(record, push=None, sessions=sessions, exchanges=exchanges)


def over(record: Subscriber, now: int) -> Subscriber:
    """Return the record of who did not answer in time: what comes later is known to be late."""
    push = record.push
    if push is None or push.kind == "notify":
        return replace(record, push=None)
    marked = {**record.exchanges, "ussd": _mark(f"{_OURS}{push.id}{_OVER}", None, True, now)}
    return replace(record, push=None, exchanges=marked)


# What comes back --------------------------------------------------------------------------------------------------


class Heard(msgspec.Struct, frozen=True):
    """An input that ends the push under way. `result` "" leaves it queued: it was not sent yet."""

    push: Pushed
    result: Result | Literal[""]

    @property
    def drops(self) -> tuple[str, ...]:
        """The outbox entries that have nothing to do any more."""
        return (self.push.id,) if self.result else ()

    def note(self, now: int) -> tuple[JournalEntry, ...]:
        """Return what the journal says of it."""
        told = {"push": self.push.id, "kind": self.push.kind, "result": self.result}
        return (JournalEntry(now, "push ended", told),) if self.result else ()


def heard(
    record: Subscriber, input: Input, typed: bytes, last: Exchange | None
) -> tuple[Exchange | None, Heard | None]:
    """Return the exchange that an input follows, and what it means for the push under way, None: nothing.

    The exchange is `last`, or the one before the push where this input repeats that.
    """
    push = record.push
    if push is not None and push.before is not None and _repeats(push, push.before, input, typed):
        return push.before, None
    return last, None if push is None else _heard(push, input)


def _repeats(push: Pushed, before: Exchange, input: Input, typed: bytes) -> bool:
    """Whether an input is the one before the push, and comes again."""
    goes_on = input.channel.name == "ussd" and input.kind in ("reply", "drop")
    return goes_on and input.account == push.account and is_repetition(before, input, typed)


def _heard(push: Pushed, input: Input) -> Heard | None:
    if input.channel.name != "ussd" or input.kind == "message":
        return None
    if input.kind == "dial":
        if push.kind == "notify":
            return None
        return Heard(push, "left" if push.sent else "")
    if input.account != push.account:
        return None
    if input.kind == "confirm":
        return Heard(push, "confirmed" if push.kind == "notify" else "aborted")
    if input.kind == "drop":
        return Heard(push, "aborted")
    return Heard(push, "answered") if push.kind == "ask" else None


def heard_of(record: Subscriber, heard: Heard) -> Subscriber:
    """Return the record once a push has ended so; one that was not sent yet has begun nothing."""
    return replace(record, push=None) if heard.result else taken_back(record, heard.push.id)


def late(last: Exchange) -> str:
    """Return the id of the push whose time was over when this exchange was the last, "" where there is none."""
    ours = last.dialogue.startswith(_OURS) and last.dialogue.endswith(_OVER)
    return last.dialogue.removeprefix(_OURS).removesuffix(_OVER) if ours else ""


_OURS: Final = "push "
_OVER: Final = " over"
"""No account's name begins so, nor does one of its dialogues end so."""


def _mark(dialogue: str, text: str | None, ends: bool, now: int) -> Exchange:
    return Exchange(dialogue, "", -1, -1, False, now, b"", text, ends)
