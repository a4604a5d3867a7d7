"""The nodes of a flow, made of what they say, ask and lead to, when it is known which values are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from menus import schema
from menus.compiler.calls import Calls
from menus.compiler.conditions import Conditions
from menus.compiler.outlines import Outline
from menus.compiler.report import Report
from menus.compiler.scope import Scope
from menus.compiler.wordings import Wordings
from menus.nodes import (
    Asking,
    Call,
    Check,
    Choice,
    Closing,
    End,
    Input,
    Listing,
    Manner,
    Menu,
    Node,
    Ordering,
    Wording,
)
from menus.registry import List
from menus.source import Path


@dataclass(frozen=True)
class Nodes:
    """Makes nodes, with what makes their parts."""

    head: schema.Head
    phrases: Mapping[str, Wording]
    scope: Scope
    wordings: Wordings
    conditions: Conditions
    calls: Calls
    report: Report

    def node(self, name: str, node: schema.Node, outline: Outline) -> Node:
        """Make a node, its texts compiled against the values that are there."""
        path: Path = ("nodes", name)
        match node:
            case schema.Menu(menu=text, options=options) | schema.Message(message=text, options=options):
                choices = tuple(self._choice(name, (*path, "options", i), one) for i, one in enumerate(options))
                return self._menu(name, self.wordings.of_node(name, node.kind, text), choices, node)
            case schema.Confirm():
                choices = (self._answer(name, "yes", node.yes), self._answer(name, "no", node.no))
                return self._menu(name, self.wordings.of_node(name, "confirm", node.confirm), choices, node)
            case schema.Input():
                return self._input(name, node, outline)
            case schema.List():
                return self._listing(name, node, outline)
            case schema.Query() | schema.Do():
                return Asking(name, self.calls.call(name, node.kind, outline.call), outline.outcomes)
            case schema.Command():
                return self._ordering(name, node, outline)
            case schema.Check():
                condition = self.conditions.condition(name, (*path, "check"), node.check)
                return Check(name, condition, node.yes, node.no)
            case schema.End():
                text = self.wordings.of_node(name, "end", node.end)
                return End(name, text, self._ends(), tuple(sorted(text.names)))

    # Screens with options

    def _menu(
        self, name: str, text: Wording, choices: tuple[Choice, ...], node: schema.Menu | schema.Message | schema.Confirm
    ) -> Menu:
        words: dict[str, int] = {}
        for slot, choice in enumerate(choices):
            if not choice.label.names:
                for language in self.head.languages:
                    words.setdefault(choice.label.other.render(language, {}).strip().casefold(), slot)
        names = text.names.union(*(choice.label.names for choice in choices))
        return Menu(
            name,
            node.kind,
            text,
            choices,
            self._manner(node),
            tuple(sorted(names)),
            words,
            conditions=tuple((slot, one.when) for slot, one in enumerate(choices) if one.when is not None),
        )

    def _choice(self, name: str, path: Path, option: schema.Option) -> Choice:
        label = self.wordings.label(name, path, option.others, option.text, ("to", "when", "set", "text"))
        when = None if option.when is None else self.conditions.condition(name, (*path, "when"), option.when)
        return Choice(label, option.to, when, dict(option.set))

    def _answer(self, name: str, key: str, written: Any) -> Choice:
        """Make one of a confirm's two options; a bare node gets the general label."""
        label = self.phrases[key]
        if not isinstance(written, dict):
            return Choice(label, str(written))
        others = {inner: text for inner, text in written.items() if inner not in ("to", "text")}
        if others or "text" in written:
            label = self.wordings.label(name, ("nodes", name, key), others, written.get("text"), ("to", "text"))
        return Choice(label, str(written.get("to", "")))

    # Other screens

    def _input(self, name: str, node: schema.Input, outline: Outline) -> Input:
        text = self.wordings.of_node(name, "input", node.input)
        invalid = None if node.invalid is None else self.wordings.of_node(name, "invalid", node.invalid)
        names = tuple(sorted(text.names))
        manner = self._manner(node)
        return Input(name, text, node.name, outline.accept, node.to, node.secret, invalid, manner, names)

    def _listing(self, name: str, node: schema.List, outline: Outline) -> Listing:
        title = self.wordings.of_node(name, "title", node.title)
        call = self.calls.call(name, "list", outline.call)
        first = next(iter(call.operation.outcomes.values()), None)
        values = self.scope.values(name)
        if isinstance(first, List):
            values[node.each] = first.of
        item = self.wordings.wording(("nodes", name, "item"), node.item, values, name)
        names = tuple(sorted(title.names | (item.names - {node.each})))
        key, manner = f"#{name}", self._manner(node)
        return Listing(name, key, title, item, node.each, call, node.to, outline.empty, outline.outcomes, manner, names)

    # Commands

    def _ordering(self, name: str, node: schema.Command, outline: Outline) -> Ordering:
        say = None if node.say is None else self.wordings.of_node(name, "say", node.say)
        call = self.calls.call(name, "command", outline.call)
        if call.secret:
            self.report.at_value(("nodes", name, "command"), "a secret cannot be given to a command, which is stored")
        closings = self._closings(name, node, call)
        needs = {value for closing in closings.values() for value in closing.sms.names - {closing.name}}
        names = tuple(sorted(say.names)) if say is not None else ()
        return Ordering(name, call, say, node.to or "", closings, self._ends(), names, tuple(sorted(needs)))

    def _closings(self, name: str, node: schema.Command, call: Call) -> dict[str, Closing]:
        """Make the SMS of each outcome that is written."""
        closings: dict[str, Closing] = {}
        for outcome, shape in call.operation.outcomes.items():
            if outcome not in node.others:
                continue
            path: Path = ("nodes", name, outcome)
            written = node.others[outcome]
            if not isinstance(written, dict) or "sms" not in written:
                message = f"{outcome!r} of command {name!r} must have an SMS"
                self.report.at_value(path, message, "{sms: {ru: ..., en: ...}}")
                continue
            for key in written:
                if key not in ("sms", "as"):
                    self.report.unknown_key((*path, key), ["sms", "as"])
            own = str(written.get("as") or node.name or "") if shape is not None else ""
            values = {**self.scope.values(name), **({own: shape} if own and shape is not None else {})}
            closings[outcome] = Closing(self.wordings.wording((*path, "sms"), written["sms"], values, name), own)
        return closings

    # How a screen behaves

    def _manner(self, node: schema.Menu | schema.Message | schema.Confirm | schema.Input | schema.List) -> Manner:
        """Return how a screen that waits behaves."""
        resume = node.resume or self.head.resume.after_drop
        return Manner(node.navigation is None, resume, node.tries or self.head.tries)

    def _ends(self) -> Manner:
        """Return how a screen that closes behaves: no navigation, and nothing that one could go on with."""
        return Manner(False, "restart", self.head.tries)
