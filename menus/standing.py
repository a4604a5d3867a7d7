"""A session at the node where it stands: what is shown there, and which of the machine's triggers an input means."""

from typing import Final

from menus.accept import plain
from menus.events import Effect, Show
from menus.flow import Flow
from menus.limits import MAX_INPUT
from menus.machine import Cursor
from menus.nodes import SILENT, Input, Listing, Menu, Shown, items_of
from menus.render import Channel
from menus.screens import BACK_KEY, HOME_KEY, NO_VALUES, Laid, key_to_options, shown_values
from menus.session import Session
from menus.steps import Step

NAVIGATION: Final = {BACK_KEY: "back", HOME_KEY: "home"}
NUMBERS: Final = {str(number): number for number in range(1, 1000)}
"""The numbers of options and items as they are typed; with a zero before it, a number is none of them."""


class Standing(Cursor, kw_only=True, gc=False):
    """The cursor that the machine moves, with all that a session knows and what was brought about on the way here."""

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
        elif isinstance(node, SILENT):
            return ""
        return trigger or NAVIGATION.get(text) or ("more" if self.is_more(node, text) else "")

    def asks_now(self, node: Menu) -> bool:
        """Whether the page of a confirm that was read offers its options; nobody agrees to what they have not read."""
        if self.channel.fits is None:
            return True
        laid = self.laid(node)
        return bool(laid.pages[min(self.page, len(laid.pages) - 1)].options)

    def chosen(self, node: Menu, text: str) -> str:
        """Return the trigger of the option that this is the number or the label of, "" where it is none of them."""
        number = NUMBERS.get(text)
        if number is None:
            slot = node.words.get(text.casefold())
            return "" if slot is None else f"choose {slot}"
        if not node.conditions:
            return f"choose {number - 1}" if number <= len(node.choices) else ""
        slots = self.shown_slots(node)
        return f"choose {slots[number - 1]}" if number <= len(slots) else ""

    def picked(self, node: Listing, text: str) -> str:
        """Return the trigger of picking the item with this number, "" where there is none."""
        number = NUMBERS.get(text)
        if number is None:
            return ""
        items = items_of(node.key, self.values)
        if number > len(items):
            return ""  # it may still be the key for more (99)
        self.value = items[number - 1]
        return "pick"

    def entered(self, node: Input, text: str) -> str:
        """Return the trigger of entering a value, "" where this is no such value."""
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

    def tries_allowed(self) -> int:
        """Return after how many wrong inputs in a row the dialogue ends here."""
        node = self.flow.nodes[self.state]
        return 1 if isinstance(node, SILENT) else node.manner.tries

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
        assert not isinstance(node, SILENT), f"nothing to show at {self.state}"
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


def foreign(flow: Flow, session: Session) -> bool:
    """Whether the flow has changed under a session, so that what it saw may mean something else now."""
    return session.revision != flow.revision or session.node not in flow.nodes
