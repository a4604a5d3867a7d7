"""The conversation: events in, effects out. Pure: the same inputs give the same step.

Where a conversation goes is decided by the flow's machine (`menus.machine`); this module understands what was typed as
one of the machine's triggers, and does what the node that was reached asks for.
"""

from typing import Final, TypeGuard

import msgspec

from menus.accept import plain
from menus.conditions import Facts
from menus.events import (
    Answered,
    Ask,
    Begin,
    Defer,
    Dropped,
    Effect,
    Event,
    Late,
    Note,
    Option,
    Order,
    Reply,
    Screen,
    Send,
    Show,
)
from menus.flow import Flow
from menus.limits import MAX_INPUT, MAX_ITEMS, MAX_STEPS, MAX_TAIL, MAX_VALUES_BYTES, SMS_WAITS_MS
from menus.machine import START, Cursor
from menus.nodes import Asking, Check, Input, Listing, Menu, Node, Ordering, Shown, items_of
from menus.render import Channel
from menus.screens import BACK_KEY, HOME_KEY, NO_VALUES, Laid, key_to_options, shown_values
from menus.session import Pending, Session, Value, Values, encode, pack
from menus.steps import Step

__all__ = ["Facts", "Step", "accepts", "conclude", "say", "step", "work_out"]

NAVIGATION: Final = {BACK_KEY: "back", HOME_KEY: "home"}
NUMBERS: Final = {str(number): number for number in range(1, 1000)}
"""The numbers of options and items as they are typed; with a zero before it, a number is none of them."""
_SMS: Final = Channel("sms")
_MOST_NODES: Final = MAX_STEPS * (MAX_TAIL + 1)
# Tuples, because a union given to `isinstance` is made and walked anew each time.
_ASKING: Final = (Asking, Listing)
_SILENT: Final = (Asking, Check)
_WAITING: Final = (Menu, Input)


def step(flow: Flow, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel) -> Step:
    """Take one event. `facts` are the registry's, and `msisdn` and `language` of the subscriber.

    The effects hold at most one of `Show` and `Ask`. After an `Ask`, step again with its `Answered` or `Late` and the
    session of this step. Without either the event changed nothing that the subscriber would see.

    What is in a step is shared with other subscribers' steps, so it must not be changed.
    """
    done = flow.memory.step(work_out, session, event, now, facts, channel)
    waits = done.waits
    return done if waits is None else Step(waits.session, (Ask(waits.id, waits.operation, waits.arguments),))


def work_out(flow: Flow, session: Session | None, event: Event, now: int, facts: Facts, channel: Channel) -> Step:
    """Take one event without remembering any: this says what `step` returns.

    Who feeds an answer back within the turn calls `flow.memory.step` with this, and needs no session between question
    and answer.
    """
    if isinstance(event, Reply):
        return _reply(flow, session, event, now, facts, channel)
    if isinstance(event, Answered):
        return _answered(flow, session, event, now, facts, channel)
    if isinstance(event, Begin):
        return _begin(flow, session, event, now, facts, channel)
    if isinstance(event, Late):
        return _late(flow, session, event, now, facts, channel)
    return _dropped(flow, session, event, now)


def conclude(flow: Flow, pending: Pending, outcome: str, value: Value, now: int, facts: Facts) -> tuple[Effect, ...]:
    """Return what the later outcome of a command leads to: its SMS, in the subscriber's language.

    Where the flow has changed since, and has no such node any more, the SMS says in general whether it was done.
    """
    language = flow.language(facts)
    node = flow.nodes.get(pending.node)
    if isinstance(node, Ordering) and pending.revision == flow.revision:
        closing = node.closings.get(outcome)
        if closing is not None and flow.fits(node.call.operation.name, outcome, encode(value)):
            values = {**pending.values, closing.name: value} if closing.name else pending.values
            return (Send(closing.sms.render("sms", language, values)),)
    operation = flow.registry.operations.get(pending.operation)
    done = operation is not None and outcome == next(iter(operation.outcomes))
    return (Send(say(flow, "order_done" if done else "order_failed", {}, language)),)


def accepts(flow: Flow, session: Session, text: str, facts: Facts, now: int | None = None) -> bool:
    """Whether a session that waits would take this text as a valid input; with `now`, also whether it still waits."""
    if _foreign(flow, session) or session.asked or len(text) > MAX_INPUT:
        return False
    if now is not None and now - session.at > SMS_WAITS_MS:
        return False
    if session.instead:
        return _resume_answer(flow, text) is not None
    turn = _turn(flow, session, session.at, facts, _SMS)
    trigger = turn.understood(text)
    return bool(trigger) and flow.moves.take(trigger, turn)


def open_question(flow: Flow, session: Session, now: int, facts: Facts, channel: Channel) -> Show | None:
    """Return the screen that a session waits at, to be read once more; None where it waits for no answer to one."""
    if _foreign(flow, session) or session.asked or session.instead:
        return None
    effects = _turn(flow, session, now, facts, channel).show_again().effects
    return next((effect for effect in effects if isinstance(effect, Show)), None)


def say(flow: Flow, name: str, values: Values, language: str, channel: Channel = _SMS) -> str:
    """Return one of the flow's `texts:` as the channel shows it, cut where it is too long for one screen."""
    return _on_one_screen(flow.phrases[name].render(channel.name, language, values), channel)


# Events ---------------------------------------------------------------------------------------------------------------


def _reply(flow: Flow, session: Session | None, event: Reply, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None:
        return _close(flow, "expired", facts, channel)
    if _foreign(flow, session):
        fresh = Session(session.id, flow.revision, channel.name, START, now, serial=session.serial)
        turn = _turn(flow, fresh, now, facts, channel)
        turn.reason = "expired"
        return turn.begin(flow.home, {})
    if session.asked:
        return Step(session, _close(flow, "late", facts, channel).effects)
    if session.instead:
        return _resumed(flow, session, event, now, facts, channel)
    return _turn(flow, session, now, facts, channel).reply(event.text)


def _begin(flow: Flow, session: Session | None, event: Begin, now: int, facts: Facts, channel: Channel) -> Step:
    availability = flow.availability
    if availability is not None and not availability.covers(str(facts.get("msisdn", "")), now):
        text = availability.outside.render(channel.name, flow.language(facts), {})
        return Step(None, (_closing(flow, text, facts, channel),))
    # Who dials another code than the one that was cut off wants that, and is not asked.
    if session is not None and session.entry == event.node and not event.tail and not event.values:
        match _policy(flow, session, now):
            case "continue":
                return _turn(flow, session, now, facts, channel).show_again()
            case "ask":
                asking = msgspec.structs.replace(session, instead=event.node, at=now, channel=channel.name, tries=0)
                return _ask_to_resume(flow, asking, facts, channel)
    fresh = Session(event.id, flow.revision, channel.name, START, now, tail=event.tail[:MAX_TAIL])
    return _turn(flow, fresh, now, facts, channel).begin(event.node, event.values)


def _answered(flow: Flow, session: Session | None, event: Answered, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None or not session.asked or session.asked != event.ask:
        return Step(session)
    if _foreign(flow, session):
        return _close(flow, "expired", facts, channel)
    return _turn(flow, session, now, facts, channel).answered(event.outcome, event.value)


def _late(flow: Flow, session: Session | None, event: Late, now: int, facts: Facts, channel: Channel) -> Step:
    if session is None or not session.asked or session.asked != event.ask:
        return Step(session)
    node = flow.nodes.get(session.node)
    if _foreign(flow, session) or not isinstance(node, _ASKING):
        return _close(flow, "expired", facts, channel)
    call = node.call
    if call.secret or call.operation.kind != "query":
        # What holds a secret is never stored, so it cannot be done later.
        return _close(flow, "broken", facts, channel)
    deferred = Defer(event.ask, call.operation.name, call.values(session.values))
    waiting = msgspec.structs.replace(session, channel="sms", at=now, tail=())
    if channel.name == "sms":
        return Step(waiting, (deferred,))
    return Step(waiting, (*_close(flow, "late", facts, channel).effects, deferred))


def _dropped(flow: Flow, session: Session | None, event: Dropped, now: int) -> Step:
    if session is None or session.asked:
        return Step(session)
    if _foreign(flow, session) or _manner(flow, session) == "restart":
        return Step(None)
    return Step(msgspec.structs.replace(session, dropped=True, at=now))


# Dropped sessions -----------------------------------------------------------------------------------------------------


def _manner(flow: Flow, session: Session) -> str:
    node = flow.nodes[session.node]
    return "restart" if isinstance(node, _SILENT) else node.manner.resume


def _policy(flow: Flow, session: Session, now: int) -> str:
    if not session.dropped or session.asked or _foreign(flow, session) or now - session.at > flow.within:
        return "restart"
    return _manner(flow, session)


def _ask_to_resume(flow: Flow, session: Session, facts: Facts, channel: Channel, reason: str = "") -> Step:
    language = flow.language(facts)

    def said(name: str) -> str:
        return flow.phrases[name].render(channel.name, language, {})

    options = (Option("1", said("resume_yes")), Option("2", said("resume_no")))
    screen = Screen(said("resume_question"), options, (), "choice", kind="menu")
    laid = flow.screens.any(screen, channel, language)
    show = flow.screens.with_reason(laid, 0, said(reason), channel, language) if reason else laid.shows[0]
    return Step(session, (show,))


def _resume_answer(flow: Flow, text: str) -> bool | None:
    """Return whether the subscriber wants to go on, None where the answer is neither."""
    text = plain(text).casefold()
    for key, name, meaning in (("1", "resume_yes", True), ("2", "resume_no", False)):
        labels = {flow.phrases[name].render("ussd", language, {}).casefold() for language in flow.languages}
        if text == key or text in labels:
            return meaning
    return None


def _resumed(flow: Flow, session: Session, event: Reply, now: int, facts: Facts, channel: Channel) -> Step:
    answer = _resume_answer(flow, event.text[:MAX_INPUT])
    if answer is None:
        if session.tries + 1 >= _turn(flow, session, now, facts, channel).tries_allowed():
            return _close(flow, "gave_up", facts, channel)
        again = msgspec.structs.replace(session, tries=session.tries + 1, at=now)
        return _ask_to_resume(flow, again, facts, channel, "invalid")
    if answer:
        return _turn(flow, session, now, facts, channel).show_again()
    fresh = Session(session.id, flow.revision, channel.name, START, now, serial=session.serial)
    return _turn(flow, fresh, now, facts, channel).begin(session.instead, {})


# A step through the nodes ---------------------------------------------------------------------------------------------


class _Turn(Cursor, kw_only=True, gc=False):
    """A session under way: the cursor that the machine moves, and what is to be done at each node it comes to."""

    flow: Flow
    id: str
    serial: int
    tries: int
    tail: tuple[str, ...]
    slots: tuple[int, ...]
    now: int
    channel: Channel
    entry: str
    reason: str = ""
    effects: tuple[Effect, ...] = ()

    # Events

    def begin(self, node: str, values: Values) -> Step:
        """Start at an entry's node."""
        self.settled = False
        self.values = values
        self.entry = node
        if not self.flow.moves.take(f"begin {node}", self):
            return self.close("unknown_code")
        return self.run()

    def reply(self, text: str) -> Step:
        """Take what the subscriber typed."""
        if self.react(text[: MAX_INPUT + 1]):
            self.tries = 0
            return self.run()
        self.tries += 1
        if not self.page:
            # What was refused may be an option whose condition has changed; offer what there is now.
            self.slots = ()
        if self.tries >= self.tries_allowed():
            return self.close("gave_up")
        return self.show_again("invalid")

    def answered(self, outcome: str, value: Value) -> Step:
        """Take the answer to the query that the session waits for."""
        flow = self.flow
        node = flow.nodes.get(self.state)
        if not isinstance(node, _ASKING) or outcome not in (outcomes := node.call.operation.outcomes):
            return self.broken("an answer that the flow does not know")
        if outcomes[outcome] is not None and not self.admit(node, outcome, value):
            return self.broken("an answer of the wrong shape or size")
        if not flow.moves.take(f"got {outcome}", self):
            return self.broken("an answer that leads nowhere")
        return self.run()

    def admit(self, node: Asking | Listing, outcome: str, value: Value) -> bool:
        """Take an answer whose shape and size are right; a list that is too long for the session is cut."""
        packed = pack(value)
        if not self.flow.fits(node.call.operation.name, outcome, packed):
            return False
        self.value, self.packed = value, packed
        room = MAX_VALUES_BYTES - len(encode((self.values, self.trail)))
        if isinstance(value, list) and (len(value) > MAX_ITEMS or len(packed) > room):
            return self.cut(node, value, room)
        return len(packed) <= room

    def cut(self, node: Asking | Listing, items: list[Value], room: int) -> bool:
        """Take as many of the items that were answered as there is room for; False where not even one fits."""
        kept: list[Value] = []
        for item in items[:MAX_ITEMS]:
            room -= len(encode(item))
            if room < 0:
                break
            kept.append(item)
        self.value, self.packed = kept, pack(kept)
        self.effects += (Note("list cut", {"node": node.name, "items": len(items), "kept": len(kept)}),)
        return bool(kept)

    # From node to node

    def run(self) -> Step:
        """Go on until there is something to show or to ask."""
        flow = self.flow
        for _ in range(_MOST_NODES):
            node = flow.nodes[self.state]
            if isinstance(node, _WAITING) or (self.settled and self.has_items(node)):
                if not self.tail:
                    return self.show(node)
                if isinstance(node, Menu) and node.kind == "confirm":
                    self.tail = ()  # a price is read before it is agreed to, so no dialled code confirms
                    return self.show(node)
                if not self.take_from_tail(node):
                    return self.show(node, self.reason)
            elif isinstance(node, _ASKING):
                return self.ask(node)
            elif isinstance(node, Check):
                flow.moves.take("decide", self)
            elif isinstance(node, Ordering):
                self.order(node)
                if not flow.moves.take("placed", self):
                    self.forget_way()
                    self.settled = True
            else:
                self.tail = ()
                return self.show(node)
        return self.broken("too many steps without a screen")

    def has_items(self, node: Node) -> TypeGuard[Shown]:
        """Whether a settled node has what it shows; a list that was left by choosing has its items no longer."""
        return not isinstance(node, Listing) or node.key in self.values

    def take_from_tail(self, node: Node) -> bool:
        """Answer a screen with the next input that was given in advance; the rest is void where that cannot be."""
        text, *rest = self.tail
        self.tail = tuple(rest)
        if isinstance(node, Input) and node.secret:
            self.reason = "secret_in_dial"
        elif self.react(text):
            return True
        else:
            self.reason = "invalid"
        self.tail = ()
        return False

    def ask(self, node: Asking | Listing) -> Step:
        """Ask the outside; the session waits for the answer."""
        arguments = node.call.values(self.values)
        self.serial += 1
        ask = f"{self.id}-{self.serial}"
        session = self.session(asked=ask, tail=self.tail)
        return Step(session, (*self.effects, Ask(ask, node.call.operation.name, arguments)))

    def order(self, node: Ordering) -> None:
        """Place an order, with the consent: what the subscriber had read when they agreed to it."""
        self.serial += 1
        order = f"{self.id}-{self.serial}"
        operation = node.call.operation.name
        kept = {name: self.values[name] for name in node.needs}
        pending = Pending(order, self.flow.revision, node.name, kept, operation)
        shown = self.agreed_to()
        if shown:
            self.effects += (Note("consent", {"order": order, "read": shown, "channel": self.channel.name}),)
        self.effects += (Order(order, operation, node.call.values(self.values), pending, shown),)

    def agreed_to(self) -> str:
        """Return the text of the confirm that was left last, as it stood on the screen; "" where it was no confirm."""
        if not self.trail:
            return ""
        left = self.trail[-1]
        node = self.flow.nodes[left.node]
        if not isinstance(node, Menu) or node.kind != "confirm":
            return ""
        # What was bound on the way from there was not on the screen.
        return node.text.render(self.channel.name, self.flow.language(self.facts), {**self.values, **left.before})

    # What was typed

    def react(self, text: str) -> bool:
        """Make the move that an input stands for; False where it stands for none."""
        before = self.state
        trigger = self.understood(text)
        if not trigger or not self.flow.moves.take(trigger, self):
            return False
        if self.state != before or trigger not in ("more", "back"):
            self.slots = ()
        return True

    def understood(self, text: str) -> str:
        """Return the trigger that an input stands for, "" for none; what was entered or picked is kept for the move."""
        node = self.flow.nodes[self.state]
        text = plain(text)
        if len(text) > MAX_INPUT:
            return ""
        trigger = ""
        if isinstance(node, Menu):
            if node.kind != "confirm" or self.asks_now(node):
                trigger = self.chosen(node, text)
        elif isinstance(node, Listing):
            trigger = self.picked(node, text)
        elif isinstance(node, Input):
            trigger = self.entered(node, text)
        elif isinstance(node, _SILENT):
            return ""
        return trigger or NAVIGATION.get(text) or ("more" if self.is_more(node, text) else "")

    def asks_now(self, node: Menu) -> bool:
        """Whether the page of a confirm that was read offers its options; nobody agrees to what they have not read."""
        if self.channel.fits is None:
            return True
        laid = self.laid(node)
        return bool(laid.pages[min(self.page, len(laid.pages) - 1)].options)

    def chosen(self, node: Menu, text: str) -> str:
        number = NUMBERS.get(text)
        if number is None:
            slot = node.words.get(text.casefold())
            return "" if slot is None else f"choose {slot}"
        if not node.conditions:
            return f"choose {number - 1}" if number <= len(node.choices) else ""
        slots = self.shown_slots(node)
        return f"choose {slots[number - 1]}" if number <= len(slots) else ""

    def picked(self, node: Listing, text: str) -> str:
        number = NUMBERS.get(text)
        if number is None:
            return ""
        items = items_of(node.key, self.values)
        if number > len(items):
            return ""  # it may still be the key for more (99)
        self.value = items[number - 1]
        return "pick"

    def entered(self, node: Input, text: str) -> str:
        if text in NAVIGATION and node.accept.kind in ("text", "phone"):
            return ""
        self.value = node.accept.value(text)
        return "" if self.value is None else "enter"

    def is_more(self, node: Shown, text: str) -> bool:
        """Whether the input is the key that leads to the next page; the machine needs to know how many there are."""
        if not text.isdigit() and not isinstance(node, Input):
            return False
        laid = self.laid(node)
        self.pages = len(laid.pages)
        return bool(text) and text == laid.pages[min(self.page, self.pages - 1)].more

    def shown_slots(self, node: Menu) -> tuple[int, ...]:
        """Return which options are shown; they stay what was seen until another screen comes."""
        if not self.slots:
            values, facts = self.values, self.facts
            slots = [*range(len(node.choices))]
            for slot, condition in node.conditions:
                if not condition(values, facts):
                    slots.remove(slot)
            self.slots = tuple(slots)
        return self.slots

    # What is shown

    def laid(self, node: Shown) -> Laid:
        """Return the node's screen, laid out."""
        values = self.values
        options: tuple[int, ...] | bytes | None = None
        if isinstance(node, Menu):
            if node.conditions:
                options = self.slots or self.shown_slots(node)
        elif isinstance(node, Listing):
            options = values.get(node.key)
        return self.flow.screens.node(
            node.name,
            self.flow.language(self.facts),
            self.channel,
            not self.trail,
            options,
            shown_values(node, values) if node.names else NO_VALUES,
        )

    def show_again(self, reason: str = "") -> Step:
        """Show the screen that the session stands at."""
        node = self.flow.nodes[self.state]
        assert not isinstance(node, _SILENT), f"nothing to show at {self.state}"
        return self.show(node, reason)

    def show(self, node: Shown, reason: str = "") -> Step:
        """Show the node's screen, and wait where it offers anything."""
        laid = self.laid(node)
        if self.page:
            self.page = min(self.page, len(laid.pages) - 1)
        reason = reason or self.reason
        show = self.again(node, laid, reason) if reason else laid.shows[self.page]
        return Step(None if show.ends else self.session(), (*self.effects, show))

    def again(self, node: Shown, laid: Laid, reason: str) -> Show:
        """Return the page with the reason why it is shown again."""
        flow, channel, language = self.flow, self.channel, self.flow.language(self.facts)
        wording, values = flow.phrases[reason], self.values
        if reason == "invalid":
            if isinstance(node, Input):
                wording = node.invalid or wording
            elif key := key_to_options(laid, self.page):
                wording, values = flow.phrases["read_on"], {"key": key}
        said = wording.render(channel.name, language, values)
        return flow.screens.with_reason(laid, self.page, said, channel, language)

    def close(self, phrase: str) -> Step:
        """End the dialogue with one of the engine's own texts."""
        closed = _close(self.flow, phrase, self.facts, self.channel)
        return Step(None, (*self.effects, *closed.effects))

    def broken(self, cause: str) -> Step:
        """End the dialogue because something outside is not what the flow was promised."""
        self.effects += (Note("broken", {"node": self.state, "cause": cause}),)
        return self.close("broken")

    def tries_allowed(self) -> int:
        node = self.flow.nodes[self.state]
        return 1 if isinstance(node, _SILENT) else node.manner.tries

    def session(self, asked: str = "", tail: tuple[str, ...] = ()) -> Session:
        """Return the session to keep. Secrets are not part of it."""
        values, secrets = self.values, self.flow.secrets
        if secrets and not secrets.isdisjoint(values):
            values = {name: value for name, value in values.items() if name not in secrets}
        return Session(
            self.id,
            self.flow.revision,
            self.channel.name,
            self.state,
            self.now,
            self.page,
            self.trail,
            values,
            self.tries,
            asked,
            self.serial,
            tail,
            False,
            self.slots,
            "",
            self.entry,
        )


# ----------------------------------------------------------------------------------------------------------------------


def _turn(flow: Flow, session: Session, now: int, facts: Facts, channel: Channel) -> _Turn:
    return _Turn(
        session.node,
        session.page,
        session.trail,
        session.values,
        facts,
        flow=flow,
        id=session.id,
        serial=session.serial,
        tries=session.tries,
        tail=session.tail,
        slots=session.slots,
        now=now,
        channel=channel,
        entry=session.entry,
        # A list that a session stands at has its items, unless it is still being asked for them.
        settled=not session.asked,
    )


def _foreign(flow: Flow, session: Session) -> bool:
    """Whether the flow has changed under a session, so that what it saw may mean something else now."""
    return session.revision != flow.revision or session.node not in flow.nodes


def _close(flow: Flow, phrase: str, facts: Facts, channel: Channel) -> Step:
    text = flow.phrases[phrase].render(channel.name, flow.language(facts), {})
    return Step(None, (_closing(flow, text, facts, channel),))


def _closing(flow: Flow, text: str, facts: Facts, channel: Channel) -> Show:
    """Return a last screen."""
    return Show(Screen(text), _on_one_screen(text, channel), True)


def _on_one_screen(text: str, channel: Channel) -> str:
    """Return a text that has no further pages; one that is too long (which `flows check` finds) is cut."""
    if channel.fits is None or channel.fits(text):
        return text
    dots = "..." if text.isascii() else "…"
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if channel.fits(text[:middle].rstrip() + dots) else (low, middle)
    return text[:low].rstrip() + dots
