"""A handset: its one USSD dialogue and its messages. Pure: the time is an argument, nothing is sent from here.

The subscriber's acts (`dial`, `answer`, `cancel`, `write`) and the network's (`show`, `push`, `drop`, `expire`,
`receive`) change the phone; what must go to the service in consequence is returned as `Utterance`s.

| dialogue | the phone shows | leaves by |
|---|---|---|
| none | the dialling field | `dial`; `push`, to the subscriber's turn, or to over where it only notifies |
| service's turn | "waiting", the gateway's timer | `show`, `cancel`, `drop`, `expire` |
| subscriber's turn | the screen, a field for the answer, the gateway's timer | `answer`, `cancel`, `drop`, `expire` |
| over | the last screen, or why there is none | `dial`, `push`, `dismiss` |
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from smpp.dialect import Ending

SERVICE_MS = 15_000
"""How long a gateway waits for the service's answer. Operators set 10 to 30 s."""

SUBSCRIBER_MS = 120_000
"""How long a gateway waits for the subscriber's answer. Operators set one to three minutes."""

INBOX = 200
"""Messages that a phone keeps; the oldest go first."""

UNFINISHED = 16
"""Long messages of which parts are still missing; the oldest is given up first."""

STEPS = 0x80
"""The count of messages in a dialogue has 7 bits (SMPP 3.4, 5.3.2.43)."""

Reason = Literal["ended", "notified", "cancelled", "timeout", "dropped", "unreachable", "refused", "lost"]
"""Why a dialogue is over: the service ended it; it was a notification; the subscriber ended it; the gateway's timer;
the network dropped it; no service is bound; the service refused the message; the service's link went away."""

Delivery = Literal["received", "sending", "sent", "waiting", "refused"]
"""Where a message is: come in; on its way to the service; taken by it; waiting for a service that takes it; refused."""


_ENDINGS: dict[Reason, Ending] = {"cancelled": "cancel", "timeout": "timeout", "dropped": "drop"}


class Timers(msgspec.Struct, frozen=True):
    """The gateway's patience with each side, in ms."""

    service_ms: int = SERVICE_MS
    subscriber_ms: int = SUBSCRIBER_MS


class Usage(msgspec.Struct, frozen=True):
    """How much of what one message may hold a text takes: septets or UCS-2 units."""

    alphabet: str
    used: int
    budget: int
    parts: int = 1


class Utterance(msgspec.Struct, frozen=True):
    """What the network passes to the service. `step` counts the dialogue's messages from 0, modulo 128.

    `confirm` says that a notification was shown, `why` is for an abort.
    """

    kind: Literal["begin", "answer", "confirm", "abort"]
    session: int
    step: int
    text: str
    why: Ending = "drop"


class Dialogue(msgspec.Struct, frozen=True):
    """One USSD exchange as the network sees it. `session` is the network's number for it.

    `source` is the number of the service that began it, "" where the subscriber did.
    """

    session: int
    dialled: str
    until: int
    span_ms: int
    turn: Literal["service", "subscriber", "over"] = "service"
    step: int = 0
    screen: str = ""
    usage: Usage | None = None
    reason: Reason | None = None
    source: str = ""


class Message(msgspec.Struct, frozen=True):
    """One SMS in the phone's memory: whole, however many parts it travelled in. `at` is ms since 1970 UTC."""

    id: int
    peer: str
    text: str
    at: int
    outgoing: bool
    delivery: Delivery
    usage: Usage | None = None


class Part(msgspec.Struct, frozen=True):
    """One part of a long SMS: `reference` is the sender's number for the whole, `index` counts from 1 to `total`."""

    peer: str
    text: str
    reference: int = 0
    total: int = 1
    index: int = 1
    usage: Usage | None = None


class PhoneView(msgspec.Struct, frozen=True):
    """All that a page or a terminal needs to draw the phone; `delivered`: a service got something from it."""

    msisdn: str
    dialogue: Dialogue | None
    messages: tuple[Message, ...]
    delivered: bool = False


class Phone:
    """A handset with the number `msisdn` (E.164 digits without `+`)."""

    def __init__(self, msisdn: str, timers: Timers | None = None) -> None:
        self.msisdn = msisdn
        self.dialogue: Dialogue | None = None
        self._timers = timers or Timers()
        self._messages: deque[Message] = deque(maxlen=INBOX)
        self._unfinished: dict[tuple[str, int, int], dict[int, Part]] = {}
        self._count = 0
        self._owed: int | None = None

    def dial(self, code: str, session: int, now: int) -> tuple[Utterance, ...]:
        """Open a dialogue numbered `session` with the dialled string; one that was open is given up first."""
        given_up = self.cancel()
        self._owed = None
        span = self._timers.service_ms
        self.dialogue = Dialogue(session, code, now + span, span)
        return (*given_up, Utterance("begin", session, 0, code))

    def answer(self, text: str, now: int) -> tuple[Utterance, ...]:
        """Answer the screen; nothing happens unless it is the subscriber's turn."""
        dialogue = self._open()
        if dialogue is None or dialogue.turn != "subscriber":
            return ()
        span = self._timers.service_ms
        step = (dialogue.step + 1) % STEPS
        self.dialogue = replace(dialogue, turn="service", step=step, until=now + span, span_ms=span)
        return (Utterance("answer", dialogue.session, step, text),)

    def cancel(self) -> tuple[Utterance, ...]:
        """Hang up."""
        return self._abort("cancelled")

    def drop(self, reason: Reason = "dropped") -> tuple[Utterance, ...]:
        """Let the network end the dialogue, and tell the service."""
        return self._abort(reason)

    def expire(self, now: int) -> tuple[Utterance, ...]:
        """End the dialogue when the gateway's timer has run out by `now`."""
        until = self.timer()
        return self._abort("timeout") if until is not None and until <= now else ()

    def fail(self, reason: Reason) -> None:
        """End the dialogue without a word to the service, which is not there or does not want it."""
        dialogue = self._open()
        if dialogue is not None:
            self._let_go(dialogue)
            self.dialogue = replace(dialogue, turn="over", reason=reason)

    def show(self, session: int, text: str, ends: bool, usage: Usage, now: int) -> bool:
        """Show the service's screen; False when no such dialogue is open, or it is not the service's turn.

        The screen that is shown already may come once more: it answers an input that was delivered twice.
        """
        dialogue = self._open()
        if dialogue is None or dialogue.session != session:
            return False
        if dialogue.turn == "subscriber":
            return text == dialogue.screen and not ends
        shown = replace(dialogue, screen=text, usage=usage)
        if ends:
            self.dialogue = replace(shown, turn="over", reason="ended")
        else:
            span = self._timers.subscriber_ms
            self.dialogue = replace(shown, turn="subscriber", until=now + span, span_ms=span)
        return True

    def push(
        self, session: int, source: str, text: str, ends: bool, usage: Usage, now: int
    ) -> tuple[Utterance, ...] | None:
        """Show a screen that nobody dialled: a question, or where it `ends` a notification, which is confirmed.

        None where it cannot be shown: a dialogue is open, or this is the late answer to one that is over.
        """
        if self.is_open() or session == self._owed:
            return None
        span = self._timers.subscriber_ms
        shown = Dialogue(session, "", now + span, span, "subscriber", 0, text, usage, source=source)
        if not ends:
            self.dialogue = shown
            return ()
        self.dialogue = replace(shown, turn="over", reason="notified")
        return (Utterance("confirm", session, 0, ""),)

    def confirm(self, session: int) -> tuple[Utterance, ...]:
        """Let the network say that the notification with which the dialogue `session` ended was shown."""
        dialogue = self.dialogue
        if dialogue is None or dialogue.session != session or dialogue.reason != "ended":
            return ()
        return (Utterance("confirm", session, (dialogue.step + 1) % STEPS, ""),)

    def close(self, session: int) -> bool:
        """End the dialogue as its service wishes, without another text; False where it is not open."""
        if not self.is_open(session):
            return False
        self.fail("ended")
        return True

    def dismiss(self) -> None:
        """Put away the last screen of a dialogue that is over."""
        if self.dialogue is not None and self.dialogue.turn == "over":
            self.dialogue = None

    def is_open(self, session: int | None = None) -> bool:
        """Tell whether a dialogue is open, the one numbered `session` where that is given."""
        dialogue = self._open()
        return dialogue is not None and session in (None, dialogue.session)

    def timer(self) -> int | None:
        """Return when the gateway's timer runs out, in ms since 1970 UTC; None when it is not running."""
        dialogue = self._open()
        return None if dialogue is None else dialogue.until

    def write(self, peer: str, text: str, usage: Usage | None, now: int) -> Message:
        """Put an SMS that the subscriber sends among the messages; the network `mark`s where it is."""
        return self._keep(Message(self._number(), peer, text, now, True, "sending", usage))

    def mark(self, number: int, delivery: Delivery) -> None:
        """Note where the message with this id is; one that was forgotten is nowhere."""
        for at, message in enumerate(self._messages):
            if message.id == number:
                self._messages[at] = replace(message, delivery=delivery)

    def receive(self, part: Part, now: int) -> Message | None:
        """Take in an SMS or a part of one; return the whole message when nothing is missing."""
        if part.total <= 1:
            return self._keep(Message(self._number(), part.peer, part.text, now, False, "received", part.usage))
        key = (part.peer, part.reference, part.total)
        parts = self._unfinished.setdefault(key, {})
        parts[part.index] = part
        if len(parts) < part.total:
            if len(self._unfinished) > UNFINISHED:
                del self._unfinished[next(iter(self._unfinished))]
            return None
        del self._unfinished[key]
        text = "".join(parts[index].text for index in sorted(parts))
        usage = together(part.usage for part in parts.values() if part.usage is not None)
        return self._keep(Message(self._number(), part.peer, text, now, False, "received", usage))

    def forget(self) -> None:
        """Empty the memory of messages."""
        self._messages.clear()
        self._unfinished.clear()

    def view(self, *, delivered: bool = False) -> PhoneView:
        """Return what there is to draw. Whether something was `delivered` is known to the network alone."""
        return PhoneView(self.msisdn, self.dialogue, tuple(self._messages), delivered)

    def _open(self) -> Dialogue | None:
        return self.dialogue if self.dialogue is not None and self.dialogue.turn != "over" else None

    def _abort(self, reason: Reason) -> tuple[Utterance, ...]:
        dialogue = self._open()
        if dialogue is None:
            return ()
        step = (dialogue.step + 1) % STEPS
        self._let_go(dialogue)
        self.dialogue = replace(dialogue, turn="over", reason=reason, step=step)
        return (Utterance("abort", dialogue.session, step, "", _ENDINGS[reason]),)

    def _let_go(self, dialogue: Dialogue) -> None:
        """Remember that the service may still answer a dialogue that is over."""
        self._owed = dialogue.session if dialogue.turn == "service" else None

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _keep(self, message: Message) -> Message:
        self._messages.append(message)
        return message


def together(usages: Iterable[Usage]) -> Usage | None:
    """Add up what the parts of a message take. A part's budget is its own, so the sum is what all of them may hold."""
    known = list(usages)
    if not known:
        return None
    used, budget = sum(usage.used for usage in known), sum(usage.budget for usage in known)
    return Usage(known[0].alphabet, used, budget, len(known))
