"""Golden conversations: a file of what is said and what is then read, played against a flow alone.

Nothing but the flow takes part: what the outside answers stands in the file. The form is in `docs/flow-language.md`.
"""

import re
from collections.abc import Callable, Iterator
from difflib import unified_diff
from typing import Any, Final

from menus.engine import accepts, conclude, step
from menus.events import Answered, Ask, Begin, Defer, Dropped, Effect, Event, Late, Order, Reply, Send, Show
from menus.flow import Flow
from menus.own_texts import say
from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text
from menus.render import Channel
from menus.session import Pending, Session, Value
from menus.shapes import fits as fits_shape
from menus.source import read

START_MS: Final = 1_259_163_000_000
"""When a conversation begins unless it says otherwise: 25 November 2009, 18:30 in Moscow."""
MSISDN: Final = "79101234567"
LATE: Final = "late"

_UNITS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_ANSWER: Final = re.compile(r"(\w+):\s*(\w+)\s*(.*)")
_DURATION: Final = re.compile(r"([0-9]{1,6}) (s|min|h|d)")
_GIVEN: Final = re.compile(r"(not\s+)?(\w+)(?:\s+is\s+(\S+))?")


class ScenarioError(ValueError):
    """A line of a scenario that cannot be played: `line` counts from 1, `what` says what is wrong with it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.what = message


def transcript(script: str, flow: Flow, fits: Callable[[str], bool] | None = None) -> str:
    """Play a scenario and return it as it should be: what was said as it stands, what was read as it is now.

    `fits` tells whether a page fits a USSD answer (None: all do). Raises `ScenarioError` for a line that means nothing,
    or that is read before anything was said: a file of something else is none to be written anew.
    """
    player = _Player(flow, fits)
    said: list[str] = []
    for number, line in enumerate(script.splitlines(), 1):
        if not line.startswith((">", "#", "given ", "answer ")):
            if line.strip() and not any(each.startswith(">") for each in said):
                raise ScenarioError(number, "nothing is said before this could be read; what is said begins with >")
            continue
        if line.startswith((">", "#")) and said and not said[-1].startswith("#"):
            said.append("")
        said.append(line.rstrip())
        try:
            said += player.does(line.removeprefix(">").strip())
        except (KeyError, ValueError) as error:
            raise ScenarioError(number, str(error)) from error
    return "\n".join(said) + "\n"


def differences(script: str, flow: Flow, fits: Callable[[str], bool] | None = None) -> list[str]:
    """Return what a scenario reads now otherwise than it says, as the lines of a diff; empty where it is as it says."""
    return list(
        unified_diff(script.splitlines(), transcript(script, flow, fits).splitlines(), "written", "now", lineterm="")
    )


class _Player:
    """A subscriber with a phone, at times at a terminal, and the outside's answers.

    `screen` is the channel of the screen that was shown last, to which a reply is given.
    """

    def __init__(self, flow: Flow, fits: Callable[[str], bool] | None) -> None:
        self.flow = flow
        self.channels = {"ussd": Channel("ussd", fits), "sms": Channel("sms"), "terminal": Channel("terminal")}
        self.screen = "ussd"
        self.facts: dict[str, str | bool | int] = {"msisdn": MSISDN, "language": flow.default_language}
        self.answers: dict[str, tuple[str, Value]] = {}
        self.sessions: dict[str, Session] = {}
        self.deferred: list[Defer] = []
        self.orders: list[tuple[str, Pending]] = []
        self.now = START_MS
        self.count = 0
        self.verbs: dict[str, Callable[[str], Iterator[str]]] = {
            "dial": self.dial,
            "terminal": self.terminal,
            "push": self.push,
            "reply": self.reply,
            "text": self.text,
            "drop": self.drop,
            "wait": self.wait,
            "given": self.given,
            "answer": self.answer,
            "deliver": self.deliver,
            "outcome": self.outcome,
        }

    def does(self, line: str) -> list[str]:
        """Do what a line says and return the lines that are then read."""
        verb, _, rest = line.partition(" ")
        if line.startswith("#"):
            return []
        if verb not in self.verbs:
            raise ValueError(f"{verb!r} is none of {', '.join(self.verbs)}")
        return list(self.verbs[verb](rest.strip()))

    # What the subscriber does

    def dial(self, code: str) -> Iterator[str]:
        self.screen = "ussd"
        match = self.flow.match_ussd(code)
        if match is None:
            yield from (*self.said("unknown_code"), "(end)")
        else:
            yield from self.play("ussd", Begin(self.new_id(), match.node, match.tail))

    def terminal(self, rest: str) -> Iterator[str]:
        """A terminal enters: `> terminal menu`, or with the values that it brings, `> terminal WORD {quote: {...}}`."""
        word, _, written = rest.partition(" ")
        node = self.flow.match_terminal(word)
        if node is None:
            known = ", ".join(self.flow.entries.terminal) or "no entries for them"
            raise ValueError(f"terminals do not enter by {word!r}; there are {known}")
        brings = Record("", self.flow.registry.terminal[word])
        values = _value(written) or {}
        if not fits_shape(values, brings):
            raise ValueError(f"{word!r} brings values: terminal {word} {_example(brings, word, self.flow)}")
        self.screen = "terminal"
        yield from self.play("terminal", Begin(self.new_id(), node, values=values))

    def push(self, name: str) -> Iterator[str]:
        """The network shows a screen that nobody dialled: `> push NAME`."""
        pushed = self.flow.pushes.get(name)
        if pushed is None:
            known = ", ".join(self.flow.pushes) or "none"
            raise ValueError(f"there is no push {name!r}; there are {known}")
        self.screen = "ussd"
        self.sessions.pop("ussd", None)
        yield from self.play("ussd", Begin(self.new_id(), pushed.node))

    def reply(self, text: str) -> Iterator[str]:
        yield from self.play(self.screen, Reply(text))

    def text(self, rest: str) -> Iterator[str]:
        number, _, text = rest.partition(" ")
        session = self.sessions.get("sms")
        if session is not None and accepts(self.flow, session, text, self.facts | {"channel": "sms"}, self.now):
            yield from self.play("sms", Reply(text))
            return
        match = self.flow.match_sms(number, text)
        if match is None:
            yield from ("SMS:", *self.said("unknown_sms"))
        else:
            yield from self.play("sms", Begin(self.new_id(), match.node, values=match.values))

    def drop(self, reason: str) -> Iterator[str]:
        yield from self.play("ussd", Dropped("timeout" if reason == "timeout" else "abort"))

    # What the world does

    def wait(self, duration: str) -> Iterator[str]:
        found = _DURATION.fullmatch(duration)
        if found is None:
            raise ValueError(f"{duration!r} is no time: wait 30 s, 10 min, 2 h, 1 d")
        self.now += int(found[1]) * _UNITS[found[2]]
        yield from ()

    def given(self, rest: str) -> Iterator[str]:
        """Facts: `given active, not locked, language is en`."""
        for part in rest.split(","):
            found = _GIVEN.fullmatch(part.strip())
            if found is None or (found[2] not in self.flow.registry.facts and found[2] != "msisdn"):
                raise ValueError(
                    f"{part.strip()!r} is no fact; there are {', '.join(sorted(self.flow.registry.facts))}"
                )
            self.facts[found[2]] = found[3] if found[3] is not None else found[1] is None
        yield from ()

    def answer(self, rest: str) -> Iterator[str]:
        """What an operation answers from now on: `answer balance: ok {amount: 1500}`, or `late`."""
        found = _ANSWER.fullmatch(rest)
        operation = self.flow.registry.operations.get(found[1]) if found else None
        if found is None or operation is None or (found[2] not in operation.outcomes and found[2] != LATE):
            raise ValueError(f"{rest!r} is no answer: operation: outcome value")
        self.answers[found[1]] = (found[2], _value(found[3]))
        yield from ()

    def deliver(self, _: str) -> Iterator[str]:
        """The deferred queries are answered now."""
        deferred, self.deferred = self.deferred, []
        for query in deferred:
            yield from self.play("sms", Answered(query.id, *self.answered(query.operation)))

    def outcome(self, rest: str) -> Iterator[str]:
        """The oldest order that is open comes to this end: `> outcome completed {amount: 1000}`."""
        if not self.orders:
            raise ValueError("no order is open")
        _, pending = self.orders.pop(0)
        outcome, _, value = rest.partition(" ")
        yield from _read(conclude(self.flow, pending, outcome, _value(value), self.now, self.facts), "sms")

    # The turn

    def play(self, channel: str, event: Event) -> Iterator[str]:
        """Step until there is something to read, as the server does."""
        while True:
            facts = self.facts | {"channel": channel}
            done = step(self.flow, self.sessions.get(channel), event, self.now, facts, self.channels[channel])
            self.sessions.pop(channel, None)
            if done.session is not None:
                asking = any(isinstance(effect, Ask) for effect in done.effects)
                self.sessions[channel if asking else done.session.channel] = done.session
            yield from _read(done.effects, channel)
            asked = None
            for effect in done.effects:
                match effect:
                    case Ask():
                        asked = effect
                    case Order():
                        self.orders.append((effect.id, effect.pending))
                    case Defer():
                        self.deferred.append(effect)
            if asked is None:
                return
            answer = self.answers.get(asked.operation)
            if answer is not None and answer[0] == LATE:
                event = Late(asked.id)
            else:
                event = Answered(asked.id, *self.answered(asked.operation))

    def answered(self, operation: str) -> tuple[str, Value]:
        """Return what an operation answers; one without a value need not be told, and has its first outcome."""
        if operation not in self.answers:
            outcome, shape = next(iter(self.flow.registry.operations[operation].outcomes.items()))
            if shape is not None:
                raise ValueError(
                    f"{operation!r} is asked, and nothing says what it answers; a line before it does: "
                    f"answer {operation}: {outcome} {_example(shape, operation, self.flow)}"
                )
            return outcome, None
        outcome, value = self.answers[operation]
        if outcome == LATE:
            raise ValueError(f"{operation!r} is still late: say what it answers before it is delivered")
        return outcome, value

    def new_id(self) -> str:
        self.count += 1
        return f"session-{self.count}"

    def said(self, phrase: str) -> list[str]:
        return say(self.flow, phrase, {}, str(self.facts["language"])).split("\n")


def _read(effects: tuple[Effect, ...], channel: str) -> Iterator[str]:
    for effect in effects:
        match effect:
            case Send(text=text):
                yield from ("SMS:", *text.split("\n"))
            case Show(text=text) if channel == "sms":
                yield from ("SMS:", *text.split("\n"))
            case Show(text=text, ends=ends):
                yield from text.split("\n")
                if ends:
                    yield "(end)"


def _example(shape: Shape, name: str, flow: Flow) -> str:
    """Return a value of a shape as an `answer` line writes it, to be copied and changed."""
    match shape:
        case Record(fields=fields):
            return f"{{{', '.join(f'{key}: {_example(each, key, flow)}' for key, each in fields.items())}}}"
        case List(of=each):
            return f"[{_example(each, name, flow)}]"
        case Text(localized=True):
            languages = (language for language in flow.languages if "-" not in language)
            return f"{{{', '.join(f'{language}: {name}' for language in languages)}}}"
        case Text():
            return name
        case Date():
            return "2009-12-01"
        case Instant():
            return str(START_MS + _UNITS["d"])
        case Flag():
            return "true"
        case Money():
            return "1500"
        case Number():
            return "1"


def _value(written: str) -> Any:
    """Read a value as YAML writes it on one line."""
    if not written.strip():
        return None
    source = read(f"value: {written}", "")
    if source.problems:
        raise ValueError(source.problems[0].message)
    return source.data["value"]
