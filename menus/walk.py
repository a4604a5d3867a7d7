"""A session on its way from node to node, until there is something to show or to ask."""

from typing import Final, TypeGuard

from menus.conditions import Facts
from menus.events import Ask, Note, Order
from menus.flow import Flow
from menus.limits import MAX_INPUT, MAX_ITEMS, MAX_STEPS, MAX_TAIL, MAX_VALUES_BYTES
from menus.nodes import ASKING, Asking, Check, Input, Listing, Menu, Node, Ordering, Shown
from menus.own_texts import close
from menus.render import Channel
from menus.session import Pending, Session, Value, Values, encode, pack
from menus.standing import Standing
from menus.steps import Step

_MOST_NODES: Final = MAX_STEPS * (MAX_TAIL + 1)
_WAITING: Final = (Menu, Input)


class Walk(Standing, kw_only=True, gc=False):
    """A session under way: an event sets it going, and it does what each node that it comes to asks for."""

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
        if not isinstance(node, ASKING) or outcome not in (outcomes := node.call.operation.outcomes):
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
            elif isinstance(node, ASKING):
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

    def close(self, phrase: str) -> Step:
        """End the dialogue with one of the engine's own texts."""
        closed = close(self.flow, phrase, self.facts, self.channel)
        return Step(None, (*self.effects, *closed.effects))

    def broken(self, cause: str) -> Step:
        """End the dialogue because something outside is not what the flow was promised."""
        self.effects += (Note("broken", {"node": self.state, "cause": cause}),)
        return self.close("broken")


def under_way(flow: Flow, session: Session, now: int, facts: Facts, channel: Channel) -> Walk:
    """Take a session up where it stands."""
    return Walk(
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
