"""A flow file, checked as a whole and made ready to run.

The schema has judged each key by itself; here is what needs two places to judge: names and targets, calls against the
registry, texts against languages and values, and the flow as a graph. Nothing stops at the first mistake.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from menus import schema
from menus.accept import Accept, parse_accept
from menus.conditions import Condition, Mistake, compile_condition, facts_named
from menus.entries import Code, Entries, Match, Push, Texts, exact_text, parse_code, parse_pattern
from menus.flow import Availability, Flow
from menus.graph import Bound, Shapes, Way, bound, longest, loop, reached, stuck
from menus.limits import MAX_NAMES, MAX_STEPS, MAX_TEXT
from menus.machine import START
from menus.nodes import (
    Argument,
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
    Outcome,
    Wording,
    build_moves,
)
from menus.phrases import PHRASE_VALUES, PHRASES, SMS_PHRASES
from menus.registry import Flag, List, Number, Operation, PushName, Record, Registry, Shape, Text, Word
from menus.schema import Document, FlowErrors, Head, Problem, meant
from menus.screens import Screens
from menus.shapes import described, same
from menus.source import Path
from menus.text import Currency, Languages, Style, Template, compile_text

__all__ = ["Flow", "FlowErrors", "Match", "Problem", "compile_flow"]

CHANNELS: Final = ("ussd", "sms", "terminal")
REST: Final = "other"
HINTED: Final = 200
"""Mistakes after which no near names are looked for."""
_CALL: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\(([^()]*)\))?\s*")
_UNITS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_KIND_OF_CALL: Final = {"query": "query", "list": "query", "do": "action", "command": "command"}
_NODE_FOR: Final = {"query": "'query' or 'list'", "action": "'do'", "command": "'command'"}
_NO_VALUE: Final = re.compile(r"there is no (?:fact or )?value '([^']*)' here")
_CAPTURED: Final = re.compile(r"\{([a-z]\w*)")
_NOWHERE: Final = Bound({}, frozenset())


def compile_flow(source: str | bytes, name: str, registry: Registry, fits: Callable[[str], bool] | None = None) -> Flow:
    """Check a flow file and make it ready; raises `FlowErrors` with every mistake in it. `name` is put before each.

    `fits` measures the smallest screen that the flow will be shown on: a text that closes a dialogue has no further
    pages, so it must fit.
    """
    document = schema.load(source, name)
    if document.head is None:
        raise FlowErrors(tuple(sorted(set(document.source.problems))))
    compiler = _Compiler(document, document.head, registry)
    if compiler.style.languages.problems():
        # Without its languages nothing else can be judged.
        raise FlowErrors(tuple(sorted(set(document.source.problems))))
    flow = compiler.flow()
    if fits is not None:
        compiler.check_fit(flow, fits)
    if document.source.problems:
        raise FlowErrors(tuple(sorted(set(document.source.problems))))
    return flow


@dataclass
class _Parsed:
    """What is known of a node before the graph is: its call, its outcomes' targets and names, what it accepts."""

    call: Call | None = None
    call_arguments: Sequence[str] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    accept: Accept | None = None


class _Compiler:
    """The work on one file."""

    def __init__(self, document: Document, head: Head, registry: Registry) -> None:
        self.document = document
        self.source = document.source
        self.head = head
        self.registry = registry
        self.complete = False
        self.names = frozenset(self.source.data.get("nodes") or ())
        self.written_names = frozenset(_names_given(self.source.data))
        self.style = self.read_style()
        self.parsed: dict[str, _Parsed] = {}
        self.pushes: dict[str, Push] = {}
        self.ways: list[Way] = []
        self.secrets: set[str] = set()
        self.asked_for: set[str] = set()
        self.bound: Mapping[str, Bound] = {}

    def flow(self) -> Flow:
        """Return the flow; it must not be run where there are problems."""
        entries = self.read_entries()
        for name, node in self.document.nodes.items():
            self.read_node(name, node)
        self.target(self.head.home, ("home",))
        # Where something could not be read, what follows from its being missing is not worth telling.
        self.complete = not self.source.problems
        if self.complete:
            self.check_graph()
        self.check_names()
        keeps = [name for name, node in self.document.nodes.items() if isinstance(node, schema.Check)]
        self.bound = bound(self.ways, [*self.names, self.head.home], self.head.home, self.secrets, keeps)
        phrases = self.phrases()
        nodes = {name: self.node(name, node, phrases) for name, node in self.document.nodes.items()}
        self.check_unread()
        availability = self.availability()
        problems = bool(self.source.problems)
        begins = [way.target for way in self.ways if way.source == START]
        return Flow(
            name=self.source.file,
            service=self.head.service,
            revision=self.revision(),
            style=self.style,
            registry=self.registry,
            nodes=nodes,
            moves=build_moves({} if problems else nodes, [] if problems else begins, self.head.home),
            entries=entries,
            phrases=phrases,
            home=self.head.home,
            within=_milliseconds(self.head.resume.within),
            secrets=frozenset(self.secrets),
            facts=frozenset(self.asked_for),
            screens=Screens(nodes, phrases, self.head.home),
            availability=availability,
        )

    def revision(self) -> str:
        """Return a short digest of what the file says; comments, layout and quotes do not count."""
        said = json.dumps(self.source.data, ensure_ascii=False, sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    # The head

    def read_style(self) -> Style:
        """Read languages, currency and time zone."""
        languages = Languages(tuple(self.head.languages))
        written = self.head.currency
        if written is None:
            amounts = dict.fromkeys(languages.written, "{amount}")
            currency = Currency("XXX", 2, amounts, dict.fromkeys(languages.written, "0"))
        else:
            words = {key: str(value) for key, value in written.others.items()}
            currency = Currency(written.code, written.digits, words, written.free)
            for key in written.others:
                if key not in languages.declared and not languages.problems():
                    self.unknown_key(("currency", key), [*schema.Currency.model_fields, *languages.declared])
        style = Style(languages, currency, self.head.timezone)
        for problem in languages.problems() or style.problems():
            place: Path = ("currency",) if "currency" in problem.message else ("languages",)
            self.add(("timezone",) if "time zone" in problem.message else place, problem.message, problem.hint)
        return style

    def phrases(self) -> dict[str, Wording]:
        """Return the engine's own texts: the flow's, else the built-in ones."""
        for name in self.head.texts:
            if name not in PHRASES:
                self.unknown_key(("texts", name), list(PHRASES))
        found: dict[str, Wording] = {}
        written = self.style.languages.written
        for name, built_in in PHRASES.items():
            values = PHRASE_VALUES.get(name, {})
            if name in self.head.texts:
                found[name] = self.wording(("texts", name), self.head.texts[name], values)
                continue
            missing = [language for language in written if language not in built_in]
            if missing:
                self.add(("texts",), f"'texts' has no {name!r}, and there is none in {missing[0]!r} built in")
            texts = {language: text for language, text in built_in.items() if language in written}
            found[name] = Wording(compile_text(texts, values, self.style).template)
        return found

    def check_fit(self, flow: Flow, fits: Callable[[str], bool]) -> None:
        """Complain of the engine's own texts that are longer than one screen, in any language."""
        if self.source.problems:
            return
        elsewhere = SMS_PHRASES | PHRASE_VALUES.keys()
        shown = {("texts", name): wording for name, wording in flow.phrases.items() if name not in elsewhere}
        if flow.availability is not None:
            shown["availability", "outside"] = flow.availability.outside
        for path, wording in shown.items():
            for language in flow.languages:
                if not fits(wording.render("ussd", language, {})):
                    message = f"{path[-1]!r} does not fit one USSD screen in {language!r}"
                    self.add(path, message, "it closes a dialogue, so it has no further pages")

    def availability(self) -> Availability | None:
        """Read for whom the service is there."""
        written = self.head.availability
        if written is None:
            return None
        first = self.midnight(("availability", "from"), written.first, 0)
        until = self.midnight(("availability", "until"), written.until, 1)
        if first is not None and until is not None and first >= until:
            self.add(("availability", "until"), "the service ends before it begins")
        outside = self.wording(("availability", "outside"), written.outside, {})
        numbers = written.numbers
        exact = None if numbers is None else frozenset(number for number in numbers if not number.endswith("*"))
        prefixes = tuple(number[:-1] for number in numbers or () if number.endswith("*"))
        return Availability(first, until, exact, prefixes, outside)

    def midnight(self, path: Path, day: str | None, later: int) -> int | None:
        if day is None:
            return None
        try:
            start = date.fromisoformat(day) + timedelta(days=later)
            zone = ZoneInfo(self.style.timezone)
        except (ValueError, OverflowError):
            self.add(path, f"{day!r} is no day", "as 2009-11-16")
            return None
        except (KeyError, OSError):
            return None  # said already of the time zone itself
        return int(datetime(start.year, start.month, start.day, tzinfo=zone).timestamp()) * 1000

    # Entries

    def read_entries(self) -> Entries:
        """Read what is dialled and sent, how terminals enter, what may be pushed, and the ways from there."""
        codes: dict[Code, str] = {}
        texts: dict[str, Texts] = {}
        terminal: dict[str, str] = {}
        for index, entry in self.document.entries.items():
            path: Path = ("entries", index)
            self.target(entry.to, (*path, "to"))
            match entry:
                case schema.UssdEntry():
                    self.read_code(entry, path, codes)
                case schema.SmsEntry():
                    self.read_texts(entry, path, texts.setdefault(entry.sms, Texts()))
                case schema.TerminalEntry():
                    self.read_terminal(entry, path, terminal)
                case schema.PushEntry():
                    self.read_push(entry, path)
        return Entries(codes, texts, terminal, self.pushes)

    def read_code(self, entry: schema.UssdEntry, path: Path, codes: dict[Code, str]) -> None:
        self.ways.append(Way(START, entry.to, path))
        code = parse_code(entry.ussd)
        if code is None:
            self.add((*path, "ussd"), f"{entry.ussd!r} cannot be dialled", 'as "*111#" or "*111*2#"')
        elif code in codes:
            self.add((*path, "ussd"), f"{entry.ussd} leads to {codes[code]!r} already")
        else:
            codes[code] = entry.to

    def read_terminal(self, entry: schema.TerminalEntry, path: Path, terminal: dict[str, str]) -> None:
        word, known = entry.terminal, self.registry.terminal
        if word not in known:
            hint = meant(word, known) or "this server has no terminals"
            self.add((*path, "terminal"), f"terminals do not enter by {word!r}", hint)
        elif word in terminal:
            self.add((*path, "terminal"), f"terminals enter {terminal[word]!r} by {word!r} already")
        else:
            terminal[word] = entry.to
        self.ways.append(Way(START, entry.to, path, known.get(word, {})))

    def read_push(self, entry: schema.PushEntry, path: Path) -> None:
        self.ways.append(Way(START, entry.to, path))
        if entry.urgent and entry.category == "offer":
            self.add((*path, "urgent"), "an offer is never urgent: quiet hours hold for it", "category: service")
        if entry.push in self.pushes:
            leads = self.pushes[entry.push].node
            self.add((*path, "push"), f"there is a push {entry.push!r} already, which leads to {leads!r}")
            return
        after = _milliseconds(entry.after) if entry.after else 0
        within = _milliseconds(entry.within)
        self.pushes[entry.push] = Push(entry.push, entry.to, entry.category, after, within, entry.urgent)

    def read_texts(self, entry: schema.SmsEntry, path: Path, texts: Texts) -> None:
        several = isinstance(entry.text, list)
        for number, text in enumerate(entry.text if isinstance(entry.text, list) else [entry.text]):
            place: Path = (*path, "text", number) if several else (*path, "text")
            if "{" not in text:
                key = exact_text(text)
                if key in texts.exact:
                    self.add(place, f"{text!r} to {entry.sms} leads to {texts.exact[key]!r} already")
                texts.exact.setdefault(key, entry.to)
                self.ways.append(Way(START, entry.to, path))
                continue
            pattern = parse_pattern(text)
            if isinstance(pattern, str):
                self.add(place, pattern, "accepted are digits(4..8), text(1..100), number(1..9999), phone")
                continue
            if any(pattern.skeleton == other.skeleton for other, _ in texts.patterns):
                self.add(place, f"{text!r} to {entry.sms}: an entry before it takes the same texts")
            texts.patterns.append((pattern, entry.to))
            self.ways.append(Way(START, entry.to, path, {name: one.shape for name, one in pattern.captures.items()}))

    # Nodes: calls and ways

    def read_node(self, name: str, node: schema.Node) -> None:
        """Read where a node leads and what it binds on the way."""
        parsed = self.parsed[name] = _Parsed()
        path: Path = ("nodes", name)
        match node:
            case schema.Menu(options=options) | schema.Message(options=options):
                for index, option in enumerate(options):
                    binds = {key: _literal(value) for key, value in option.set.items()}
                    self.way(name, option.to, (*path, "options", index, "to"), binds)
            case schema.Confirm():
                for key, written in (("yes", node.yes), ("no", node.no)):
                    place = (*path, key, "to") if isinstance(written, dict) else (*path, key)
                    self.way(name, self.confirm_target(written, (*path, key)), place)
            case schema.Input():
                accept = parse_accept(node.accept)
                if isinstance(accept, str):
                    hint = "accepted are digits(4..8), text(1..100), number(1..9999), phone"
                    self.add((*path, "accept"), accept, hint)
                    accept = Accept("text", 1, 1)
                parsed.accept = accept
                if node.secret:
                    self.secrets.add(node.name)
                self.way(name, node.to, (*path, "to"), {node.name: accept.shape})
            case schema.Check():
                self.way(name, node.yes, (*path, "yes"), immediate=True)
                self.way(name, node.no, (*path, "no"), immediate=True)
            case schema.List():
                self.read_call(name, parsed, node.list, "list")
                self.read_list(name, node, parsed)
            case schema.Query():
                self.read_call(name, parsed, node.query, "query")
                self.read_outcomes(name, node, parsed, {"query", "as"})
            case schema.Do():
                self.read_call(name, parsed, node.do, "do")
                self.read_outcomes(name, node, parsed, {"do", "as"})
            case schema.Command():
                self.read_call(name, parsed, node.command, "command")
                self.read_command(name, node, parsed)
            case schema.End():
                pass

    def way(
        self, source: str, target: str, path: Path, binds: Shapes | None = None, *, immediate: bool = False
    ) -> None:
        self.target(target, path)
        self.ways.append(Way(source, target, path, binds or {}, immediate))

    def target(self, target: str, path: Path) -> None:
        """Note a target that does not exist."""
        if target and target not in self.names:
            # Looking for the nearest name takes long where there are many of both.
            hint = meant(target, sorted(self.names)) if len(self.source.problems) < HINTED else ""
            self.add(path, f"there is no node {target!r}", hint)

    def confirm_target(self, written: Any, path: Path) -> str:
        if isinstance(written, str):
            return written
        if isinstance(written, dict) and isinstance(written.get("to"), str):
            return str(written["to"])
        self.add(path, "where this leads is missing", "a node, or {ru: ..., en: ..., to: node}")
        return ""

    def read_call(self, name: str, parsed: _Parsed, written: str, kind: str) -> None:
        """Read `operation(argument, ...)`; its arguments are judged when the values are known."""
        path: Path = ("nodes", name, kind)
        found = _CALL.fullmatch(written)
        if found is None:
            self.add(path, f"{written!r} is no call", "operation(argument, ...)")
            return
        operation = self.registry.operations.get(found[1])
        if operation is None:
            self.add(path, f"there is no operation {found[1]!r}", meant(found[1], self.registry.operations))
            return
        if operation.kind != _KIND_OF_CALL[kind]:
            said = "an action" if operation.kind == "action" else f"a {operation.kind}"
            self.add(path, f"{operation.name!r} is {said} and no {kind!r}", f"use {_NODE_FOR[operation.kind]}")
            return
        parsed.call = Call(operation)
        parsed.call_arguments = [part.strip() for part in found[2].split(",")] if (found[2] or "").strip() else []

    def read_list(self, name: str, node: schema.List, parsed: _Parsed) -> None:
        path: Path = ("nodes", name)
        item: Shape | None = None
        if parsed.call is not None:
            good, shape = next(iter(parsed.call.operation.outcomes.items()))
            if isinstance(shape, List):
                item = shape.of
            else:
                self.add((*path, "list"), f"{parsed.call.operation.name!r} does not return a list", "use 'query'")
            others = {key: shape for key, shape in parsed.call.operation.outcomes.items() if key != good}
            self.outcomes(name, node, parsed, others, {*schema.List.model_fields, "as"})
        self.way(name, node.to, (*path, "to"), {} if item is None else {node.each: item})
        empty = self.outcome(node.empty, (*path, "empty"), None, None)
        parsed.outcomes[""] = empty
        self.way(name, empty.target, (*path, "empty"), immediate=True)

    def read_outcomes(self, name: str, node: schema.Query | schema.Do, parsed: _Parsed, keys: set[str]) -> None:
        if parsed.call is not None:
            self.outcomes(name, node, parsed, parsed.call.operation.outcomes, keys)

    def outcomes(
        self, name: str, node: Any, parsed: _Parsed, declared: Mapping[str, Shape | None], keys: set[str]
    ) -> None:
        """Read where each declared outcome leads; each must be there, and no other."""
        path: Path = ("nodes", name)
        self.check_outcomes(name, node.others, declared, keys)
        for outcome, shape in declared.items():
            if outcome not in node.others:
                continue
            place = (*path, outcome)
            leads = parsed.outcomes[outcome] = self.outcome(node.others[outcome], place, node.name, shape)
            binds = {leads.name: shape} if leads.name and shape is not None else {}
            inner = (*place, "to") if isinstance(node.others[outcome], dict) else place
            self.way(name, leads.target, inner, binds, immediate=True)

    def check_outcomes(
        self, name: str, written: Mapping[str, Any], declared: Mapping[str, Any], keys: set[str]
    ) -> None:
        path: Path = ("nodes", name)
        missing = [outcome for outcome in declared if outcome not in written]
        if missing:
            what = "outcomes" if len(missing) > 1 else "outcome"
            self.add(path, f"{name!r} does not say what follows the {what} {', '.join(map(repr, missing))}")
        for key in written:
            if key not in declared:
                self.unknown_key((*path, key), [*(missing or declared), *keys])

    def outcome(self, written: Any, path: Path, name: str | None, shape: Shape | None) -> Outcome:
        """Read a target: a node, or `{to: node, as: name}`."""
        if isinstance(written, str):
            return Outcome(written, (name or "") if shape is not None else "")
        if not isinstance(written, dict) or not isinstance(written.get("to"), str):
            self.add(path, f"{path[-1]!r} must be a node", "its name, or {to: node, as: name}")
            return Outcome("")
        for key in written:
            if key not in ("to", "as"):
                self.unknown_key((*path, key), ["to", "as"])
        own = written.get("as")
        if own is not None and (not isinstance(own, str) or not re.fullmatch(schema.NAME, own)):
            self.add((*path, "as"), f"{own!r} is no name", schema.PATTERN_HINTS[schema.NAME])
            own = None
        if own is not None and shape is None:
            self.add((*path, "as"), f"{path[-1]!r} has no value that could be named")
        return Outcome(written["to"], (own or name or "") if shape is not None else "")

    def read_command(self, name: str, node: schema.Command, parsed: _Parsed) -> None:
        path: Path = ("nodes", name)
        if (node.say is None) == (node.to is None):
            self.add(path, f"command {name!r} must have either 'say' or 'to'", "say: a text, or to: a node")
        if node.to is not None:
            self.way(name, node.to, (*path, "to"), immediate=True)
        if parsed.call is not None:
            self.check_outcomes(name, node.others, parsed.call.operation.outcomes, {"command", "say", "to", "as"})

    # The whole

    def check_graph(self) -> None:
        """Find nodes that nothing leads to, that never come to a screen, and that cannot be left."""
        begins = {self.head.home, *(way.target for way in self.ways if way.source == START)}
        there = reached(self.ways, begins)
        for name in self.document.nodes:
            if name not in there:
                self.key(("nodes", name), f"nothing leads to {name!r}", "an option, an outcome or an entry must")
        self.check_pushes()
        circle = loop(self.ways)
        if circle:
            message = f"{' -> '.join(circle)} can go round without ever showing a screen"
            self.key(("nodes", circle[0]), message, "a screen must come between")
        else:
            name, steps = longest(self.ways)
            if steps > MAX_STEPS:
                self.key(
                    ("nodes", name), f"{steps} nodes may follow each other without a screen", f"at most {MAX_STEPS}"
                )
        exits = [name for name, node in self.document.nodes.items() if _can_be_left(node)]
        for name in sorted(stuck(self.ways, self.document.nodes, exits)):
            if name in there:
                self.key(("nodes", name), f"there is no way out of {name!r}", "an 'end', or navigation, must follow")

    def check_pushes(self) -> None:
        """Find pushes that would do or order something before anybody has read and answered a screen."""
        for index, entry in self.document.entries.items():
            if not isinstance(entry, schema.PushEntry):
                continue
            seen, ahead = set[str](), [entry.to]
            while ahead:
                name = ahead.pop()
                node = self.document.nodes.get(name)
                if isinstance(node, schema.Do | schema.Command):
                    message = f"the push {entry.push!r} comes to {name!r} before anybody has answered a screen"
                    self.add(("entries", index, "to"), message, "lead it to a 'confirm' or a 'menu' first")
                seen.add(name)
                ahead += [
                    way.target for way in self.ways if way.source == name and way.immediate and way.target not in seen
                ]

    def check_names(self) -> None:
        """Find names that mean two things, and too many of them."""
        plain: dict[str, Path] = {}
        for way in self.ways:
            node = self.document.nodes.get(way.source)
            secret = isinstance(node, schema.Input) and node.secret
            for name in way.binds:
                if name in self.registry.facts:
                    self.add(way.path, f"{name!r} is a fact, and cannot be the name of a value", "use another name")
                if not secret:
                    plain[name] = way.path
        for name in sorted(self.secrets & plain.keys()):
            self.add(plain[name], f"{name!r} is secret elsewhere, and must be everywhere", "use another name")
        lists = sum(isinstance(node, schema.List) for node in self.document.nodes.values())
        count = len(plain.keys() | self.secrets) + lists
        if count > MAX_NAMES:
            self.add(("nodes",), f"{count} names of values and lists", f"at most {MAX_NAMES}")

    def check_unread(self) -> None:
        """Judge the options of nodes whose shape is wrong elsewhere, so that all mistakes are told at once."""
        for name in self.names - self.document.nodes.keys():
            node = self.source.data["nodes"][name]
            options = node.get("options") if isinstance(node, dict) else None
            for index, option in enumerate(options if isinstance(options, list) else ()):
                if not isinstance(option, dict):
                    continue
                path: Path = ("nodes", name, "options", index)
                target, when = option.get("to"), option.get("when")
                if isinstance(target, str) and re.fullmatch(schema.NAME, target):
                    self.target(target, (*path, "to"))
                if isinstance(when, str):
                    self.condition(name, (*path, "when"), when)

    # Nodes: texts and conditions

    def node(self, name: str, node: schema.Node, phrases: Mapping[str, Wording]) -> Node:
        """Make a node, its texts compiled against the values that are there."""
        path: Path = ("nodes", name)
        parsed = self.parsed[name]
        match node:
            case schema.Menu(menu=text, options=options) | schema.Message(message=text, options=options):
                choices = tuple(self.choice(name, (*path, "options", i), one) for i, one in enumerate(options))
                return self.menu(name, self.wording_at(name, node.kind, text), choices, node)
            case schema.Confirm():
                choices = (
                    self.answer(name, "yes", node.yes, phrases["yes"]),
                    self.answer(name, "no", node.no, phrases["no"]),
                )
                return self.menu(name, self.wording_at(name, "confirm", node.confirm), choices, node)
            case schema.Input():
                return self.input(name, node, parsed)
            case schema.List():
                return self.listing(name, node, parsed)
            case schema.Query() | schema.Do():
                return Asking(name, self.call(name, node.kind, parsed), parsed.outcomes)
            case schema.Command():
                return self.ordering(name, node, parsed)
            case schema.Check():
                condition = self.condition(name, (*path, "check"), node.check)
                return Check(name, condition, node.yes, node.no)
            case schema.End():
                text = self.wording_at(name, "end", node.end)
                return End(name, text, self.manner(None), tuple(sorted(text.names)))

    def menu(
        self, name: str, text: Wording, choices: tuple[Choice, ...], node: schema.Menu | schema.Message | schema.Confirm
    ) -> Menu:
        words: dict[str, int] = {}
        for slot, choice in enumerate(choices):
            if not choice.label.names:
                for language in self.style.languages.declared:
                    words.setdefault(choice.label.other.render(language, {}).strip().casefold(), slot)
        names = text.names.union(*(choice.label.names for choice in choices))
        return Menu(
            name,
            node.kind,
            text,
            choices,
            self.manner(node),
            tuple(sorted(names)),
            words,
            conditions=tuple((slot, one.when) for slot, one in enumerate(choices) if one.when is not None),
        )

    def choice(self, name: str, path: Path, option: schema.Option) -> Choice:
        label = self.label(name, path, option.others, option.text, ["to", "when", "set", "text"])
        when = None if option.when is None else self.condition(name, (*path, "when"), option.when)
        return Choice(label, option.to, when, dict(option.set))

    def answer(self, name: str, key: str, written: Any, label: Wording) -> Choice:
        """Make one of a confirm's two options; a bare node gets the general label."""
        if not isinstance(written, dict):
            return Choice(label, str(written))
        others = {inner: text for inner, text in written.items() if inner not in ("to", "text")}
        path: Path = ("nodes", name, key)
        if others or "text" in written:
            label = self.label(name, path, others, written.get("text"), ["to", "text"])
        return Choice(label, str(written.get("to", "")))

    def label(self, name: str, path: Path, others: Mapping[str, Any], text: Any, keys: list[str]) -> Wording:
        """Make an option's label: languages as keys of the option itself, or a text of its own."""
        known = [*keys, *self.style.languages.declared]
        unknown = [key for key in others if key not in self.style.languages.declared]
        for key in unknown:
            self.unknown_key((*path, key), known)
        if text is not None:
            return self.wording((*path, "text"), text, self.values(name), name)
        texts = {key: value for key, value in others.items() if key not in unknown}
        return self.wording(path, texts, self.values(name), name)

    def input(self, name: str, node: schema.Input, parsed: _Parsed) -> Input:
        text = self.wording_at(name, "input", node.input)
        invalid = None if node.invalid is None else self.wording_at(name, "invalid", node.invalid)
        accept = parsed.accept or Accept("text", 1, 1)
        names = tuple(sorted(text.names))
        return Input(name, text, node.name, accept, node.to, node.secret, invalid, self.manner(node), names)

    def listing(self, name: str, node: schema.List, parsed: _Parsed) -> Listing:
        title = self.wording_at(name, "title", node.title)
        call = self.call(name, "list", parsed)
        first = next(iter(call.operation.outcomes.values()), None)
        values = dict(self.values(name))
        if isinstance(first, List):
            values[node.each] = first.of
        item = self.wording(("nodes", name, "item"), node.item, values, name)
        names = tuple(sorted(title.names | (item.names - {node.each})))
        outcomes = {outcome: leads for outcome, leads in parsed.outcomes.items() if outcome}
        empty = parsed.outcomes[""].target
        manner = self.manner(node)
        return Listing(name, f"#{name}", title, item, node.each, call, node.to, empty, outcomes, manner, names)

    def ordering(self, name: str, node: schema.Command, parsed: _Parsed) -> Ordering:
        say = None if node.say is None else self.wording_at(name, "say", node.say)
        call = self.call(name, "command", parsed)
        if call.secret:
            self.add(("nodes", name, "command"), "a secret cannot be given to a command, which is stored")
        closings: dict[str, Closing] = {}
        needs: set[str] = set()
        for outcome, shape in call.operation.outcomes.items():
            if outcome not in node.others:
                continue
            path: Path = ("nodes", name, outcome)
            written = node.others[outcome]
            if not isinstance(written, dict) or "sms" not in written:
                self.add(path, f"{outcome!r} of command {name!r} must have an SMS", "{sms: {ru: ..., en: ...}}")
                continue
            for key in written:
                if key not in ("sms", "as"):
                    self.unknown_key((*path, key), ["sms", "as"])
            own = str(written.get("as") or node.name or "") if shape is not None else ""
            values = {**self.values(name), **({own: shape} if own and shape is not None else {})}
            sms = self.wording((*path, "sms"), written["sms"], values, name)
            closings[outcome] = Closing(sms, own)
            needs |= sms.names - {own}
        manner = self.manner(None)
        names = tuple(sorted(say.names)) if say is not None else ()
        return Ordering(name, call, say, node.to or "", closings, manner, names, tuple(sorted(needs)))

    def manner(self, node: Any) -> Manner:
        """Return how a screen behaves; what closes has no navigation, and nothing that one could go on with."""
        if node is None:
            return Manner(False, "restart", self.head.tries)
        return Manner(
            node.navigation is None, node.resume or self.head.resume.after_drop, node.tries or self.head.tries
        )

    # Calls, conditions, texts

    def call(self, name: str, kind: str, parsed: _Parsed) -> Call:
        """Judge a call's arguments against the values that are there."""
        if parsed.call is None:
            return Call(Operation("", "query", {}))
        operation = parsed.call.operation
        path: Path = ("nodes", name, kind)
        given, parameters = parsed.call_arguments, operation.parameters
        if len(given) != len(parameters):
            wanted = f"{operation.name}({', '.join(parameters)})"
            self.add(path, f"{operation.name!r} takes {len(parameters)} arguments, not {len(given)}", wanted)
            return parsed.call
        arguments = tuple(
            self.argument(name, path, parameter, shape, written)
            for (parameter, shape), written in zip(parameters.items(), given, strict=True)
        )
        secret = any(argument.path and argument.path[0] in self.secrets for argument in arguments)
        return Call(operation, arguments, secret)

    def argument(
        self, name: str, path: Path, parameter: str, wanted: Shape | Word | PushName, written: str
    ) -> Argument:
        """Read one argument: a word that the operation declares, a push, or the name of a value of the right shape."""
        if isinstance(wanted, PushName):
            if written not in self.pushes:
                hint = meant(written, sorted(self.pushes)) or f"an entry declares one: {{push: {parameter}, to: node}}"
                self.add(path, f"there is no push {written!r} among the entries", hint)
            return Argument(parameter, word=written)
        if isinstance(wanted, Word) and written in wanted.words:
            return Argument(parameter, word=written)
        root, *steps = written.split(".")
        values = self.bound.get(name, _NOWHERE).always
        if root not in values:
            hint = f"{parameter!r} is {described(wanted)}" if isinstance(wanted, Word) else meant(root, sorted(values))
            self.missing_value(name, path, root, f"there is no value {root!r} here", hint)
            return Argument(parameter, path=(root,))
        shape: Shape | Word = values[root]
        for step in steps:
            if not isinstance(shape, Record) or step not in shape.fields:
                fields = sorted(shape.fields) if isinstance(shape, Record) else []
                self.add(path, f"{written!r}: there is no {step!r} in it", meant(step, fields))
                return Argument(parameter, path=(root,))
            shape = shape.fields[step]
        if not same(shape, wanted):
            self.add(path, f"{parameter!r} takes {described(wanted)}, and {written!r} is {described(shape)}")
        return Argument(parameter, path=(root, *steps))

    def condition(self, name: str, path: Path, written: str) -> Condition:
        facts = {key: shape for key, shape in self.registry.facts.items() if not isinstance(shape, Word)}
        words = {"language": frozenset(self.style.languages.declared), "channel": frozenset(CHANNELS)}
        values = self.values(name, words=True)
        found = compile_condition(written, values, facts, words)
        self.asked_for |= facts_named(written, facts)
        if not isinstance(found, Mistake):
            return found
        missing = _NO_VALUE.search(found.message)
        if missing:
            self.missing_value(name, path, missing[1], found.message, found.hint, found.column)
        else:
            self.at(path, found.column, found.message, found.hint)
        return lambda values, facts: False

    def values(self, name: str, *, words: bool = False) -> dict[str, Any]:
        """Return what may be named at a node: everything that is there, but no secret."""
        always = self.bound.get(name, _NOWHERE).always
        return {
            key: Text() if isinstance(shape, Word) and not words else shape
            for key, shape in always.items()
            if key not in self.secrets
        }

    def missing_value(self, node: str, path: Path, name: str, message: str, hint: str, column: int = -1) -> None:
        """Say why a value is not there, as exactly as is known.

        Where a way could not be read, a name that something in the file gives may be bound on that way.
        """
        if not self.complete and name in self.written_names:
            return
        if name in self.secrets:
            message, hint = f"{name!r} is secret: it is in no text or condition, and gone after the next operation", ""
        elif name in self.bound.get(node, _NOWHERE).sometimes:
            message, hint = f"{name!r} has no value on some way to {node!r}", self.culprit(node, name)
        if column < 0:
            self.add(path, message, hint)
        else:
            self.at(path, column, message, hint)

    def culprit(self, node: str, name: str) -> str:
        """Return from where a node is come to without a value."""
        for way in self.ways:
            if way.target == node and name not in way.binds:
                if way.source == START:
                    return f"the entry in line {self.source.value_mark(way.path).line} leads here without it"
                if name not in self.bound.get(way.source, _NOWHERE).always:
                    return f"it is missing when coming from {way.source!r}"
        return "home is entered without values" if node == self.head.home else "it is not always the same thing"

    def wording_at(self, name: str, key: str, written: Any) -> Wording:
        """Make a text of a node."""
        return self.wording(("nodes", name, key), written, self.values(name), name)

    def wording(self, path: Path, written: Any, values: Mapping[str, Any], node: str = "") -> Wording:
        """Make a text: one for all, by language, or by channel."""
        if not isinstance(written, dict) or not written or not all(key in (*CHANNELS, REST) for key in written):
            template, names = self.template(path, written, values, node)
            return Wording(template, {}, names)
        if REST not in written and any(channel not in written for channel in CHANNELS):
            missing = next(channel for channel in CHANNELS if channel not in written)
            self.add(path, f"no text for the channel {missing!r}", f"{REST}: is for all that are not named")
        made = {key: self.template((*path, key), text, values, node) for key, text in written.items()}
        other = made[REST][0] if REST in made else next(iter(made.values()))[0]
        names = frozenset[str]().union(*(used for _, used in made.values()))
        return Wording(other, {key: template for key, (template, _) in made.items() if key != REST}, names)

    def template(
        self, path: Path, written: Any, values: Mapping[str, Any], node: str
    ) -> tuple[Template, frozenset[str]]:
        """Compile a text that is given by language, or once for all of them."""
        before = len(self.source.problems)
        texts = dict(self.texts(path, written))
        told = len(self.source.problems) > before
        compiled = compile_text(texts, values, self.style)
        alone = isinstance(written, str)
        for problem in compiled.problems:
            if told and problem.language not in texts:
                continue
            place: Path = path if alone or problem.language not in texts else (*path, problem.language)
            missing = _NO_VALUE.search(problem.message)
            if missing:
                self.missing_value(node, place, missing[1], problem.message, problem.hint, problem.column)
            else:
                self.at(place, problem.column, problem.message, problem.hint)
        return compiled.template, compiled.names

    def texts(self, path: Path, written: Any) -> Iterator[tuple[str, str]]:
        """Yield a text by language, and note what is no text."""
        if isinstance(written, str):
            if len(written) > MAX_TEXT:
                self.add(path, f"a text of {len(written)} characters", f"at most {MAX_TEXT}")
            for language in self.style.languages.written:
                yield language, written
        elif isinstance(written, dict):
            for language, text in written.items():
                place = (*path, language)
                if isinstance(text, str):
                    if len(text) > MAX_TEXT:
                        self.add(place, f"a text of {len(text)} characters", f"at most {MAX_TEXT}")
                    yield language, text
                elif text is None and not re.fullmatch(r"[a-z]{2,3}(-\w+)?", language):
                    self.add(path, "this is not a text", "one that begins with { stands in quotes")
                    return
                else:
                    raw = self.source.raw.get(place)
                    self.add(place, f"{language!r} must be a text", f'in quotes: "{raw}"' if raw else "")
        else:
            raw = self.source.raw.get(path)
            self.add(path, f"{path[-1]!r} must be a text", f'in quotes: "{raw}"' if raw else "{ru: ..., en: ...}")

    # Mistakes

    def add(self, path: Path, message: str, hint: str = "") -> None:
        self.source.add(self.source.value_mark(path), message, hint)

    def key(self, path: Path, message: str, hint: str = "") -> None:
        self.source.add(self.source.key_mark(path), message, hint)

    def at(self, path: Path, column: int, message: str, hint: str) -> None:
        self.source.add(self.source.text_mark(path, column), message, hint)

    def unknown_key(self, path: Path, known: Sequence[str]) -> None:
        self.key(path, f"unknown key {path[-1]!r}", meant(str(path[-1]), known))


def _names_given(data: Any) -> Iterator[str]:
    """Yield every name that anything in a file gives to a value, whether it could be read otherwise or not."""
    if isinstance(data, list):
        for each in data:
            yield from _names_given(each)
    elif isinstance(data, dict):
        for key, value in data.items():
            if key in ("as", "each") and isinstance(value, str):
                yield value
            elif key == "set" and isinstance(value, dict):
                yield from value
            elif key == "text":
                yield from _CAPTURED.findall(str(value))
            yield from _names_given(value)


def _literal(value: str | int | bool) -> Shape | Word:
    if isinstance(value, bool):
        return Flag()
    return Number() if isinstance(value, int) else Word(frozenset({value}))


def _can_be_left(node: schema.Node) -> bool:
    """Whether a conversation can end here, or leave by navigation."""
    match node:
        case schema.End():
            return True
        case schema.Command(say=say):
            return say is not None
        case schema.Message(options=[]):
            return True
        case schema.Menu() | schema.Message() | schema.List() | schema.Input() | schema.Confirm():
            return node.navigation is None
        case _:
            return False


def _milliseconds(duration: str) -> int:
    number, unit = duration.split(" ")
    return int(number) * _UNITS[unit]
