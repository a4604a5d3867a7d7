"""Whatever breaks in a turn, its input is answered once, its subscriber's line goes on, and nothing is left counted."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from smpp.reassembly import Mark, Part
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.sms import SMS
from ussd_server.outage import Outage
from ussd_server.stores.base import StoreUnavailable, Unsure
from ussd_server.turns import failures, messages, resources
from ussd_server.turns.turn import Turn


class Defect(Exception):
    """What nobody expects."""


def broken(*_: Any, **__: Any) -> Any:
    raise Defect


async def breaks(*_: Any, **__: Any) -> Any:
    raise Defect


class Broken:
    """A logger, a counter or a table of them, of which every use raises."""

    error = exception = warning = info = __getitem__ = broken


def commits(at: Bench, commit_then: Callable[..., None]) -> ExitStack:
    """Let all commits be made by this, with and without work for the outbox."""
    stack = ExitStack()
    for owner in (at.store, at.outbox):
        stack.enter_context(patch.object(owner, "commit_then", partial(commit_then, owner.commit_then)))
    return stack


def no_log() -> ExitStack:
    stack = ExitStack()
    for module in (failures, messages):
        stack.enter_context(patch.object(module, "log", Broken()))
    return stack


def raises_first(commit: Any, change: Any, told: Any) -> None:
    raise Defect


def raises_then_tells(commit: Any, change: Any, told: Any) -> None:
    commit(change, told)
    raise Defect


def raises_when_told(outcome: Any, commit: Any, change: Any, told: Any) -> None:
    told(outcome)
    raise Defect


def tells(outcome: Any, commit: Any, change: Any, told: Any) -> None:
    told(outcome)


FAULTS: dict[str, Callable[[Bench], Any]] = {
    "remembered": lambda at: patch.object(at.store, "remembered", broken),
    "load": lambda at: patch.object(at.store, "load", breaks),
    "play": lambda at: patch.object(Turn, "begin", broken),
    "play sms": lambda at: patch.object(Turn, "play", breaks),
    "commit raises": lambda at: commits(at, raises_first),
    "commit raises, then tells": lambda at: commits(at, raises_then_tells),
    "commit loses, then raises": lambda at: commits(at, partial(raises_when_told, False)),
    "commit fails, then raises": lambda at: commits(at, partial(raises_when_told, Defect())),
    "commit fails": lambda at: commits(at, partial(tells, Defect())),
    "commit loses": lambda at: commits(at, partial(tells, False)),
    "store away": lambda at: commits(at, partial(tells, StoreUnavailable("gone"))),
    "unsure": lambda at: commits(at, partial(tells, Unsure("sent twice"))),
    "count": lambda at: patch.object(at.metrics, "turns", Broken()),
    "duration": lambda at: patch.object(at.metrics, "turn_seconds", Broken()),
    "say": lambda at: patch.object(resources, "say", broken),
    "log": lambda at: no_log(),
    "outage": lambda at: patch.object(Outage, "failed", broken),
    "no room": lambda at: patch.object(at.admission, "limit", 0),
    "answer": lambda at: ExitStack(),
}
"""Where something breaks; the answer is the test's own."""

said = st.one_of(
    st.tuples(st.just("dial"), st.sampled_from(["*111#", "*100#", "*9#"])),
    st.tuples(st.just("reply"), st.sampled_from(["1", "7"])),
    st.tuples(st.just("drop"), st.just("")),
    st.tuples(st.just("message"), st.sampled_from(["111", "x"])),
    st.tuples(st.just("part"), st.sampled_from(["1", "2"])),
)
lines = st.lists(
    st.tuples(st.sets(st.sampled_from(sorted(FAULTS)), max_size=3), st.lists(said, min_size=1, max_size=3)),
    min_size=1,
    max_size=6,
)


def input_of(at: Bench, kind: str, text: str) -> Input:
    if kind == "part":
        part = Part(MSISDN, "2163", Mark("udh8", 1, 2, int(text)), b"111", "gsm")
        return at.input("message", "", channel=SMS, number="2163", part=part)
    if kind == "message":
        return at.input(kind, text, channel=SMS, number="2163")
    return at.input(kind, text)


@contextmanager
def faults(at: Bench, names: set[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for name in sorted(names):
            stack.enter_context(FAULTS[name](at))
        yield


async def say_all(at: Bench, line: Sequence[tuple[str, str]], answers_break: bool) -> Counter[int]:
    """Hand all in at once, and return how often each was answered when no turn is under way."""
    answered: Counter[int] = Counter()

    def answering(index: int, answer: Answer) -> None:
        answered[index] += 1
        if answers_break:
            raise Defect

    for index, (kind, text) in enumerate(line):
        at.conversations.take(input_of(at, kind, text), partial(answering, index))
    async with asyncio.timeout(5):
        await at.conversations.finished()
    return answered


@settings(max_examples=20, deadline=None)
@given(lines)
@example([({"commit raises", "say"}, [("dial", "*111#")])])
@example([({"no room", "say"}, [("dial", "*111#")]), ({"no room", "say", "log"}, [("message", "111")])])
@example([({"no room", "count"}, [("dial", "*111#"), ("drop", "")])])
@example([({"no room", "answer"}, [("dial", "*111#"), ("dial", "*111#")])])
@example([({"commit raises"}, [("dial", "*111#"), ("reply", "1")]), ({"duration"}, [("dial", "*111#")])])
@example([({"commit raises, then tells"}, [("dial", "*111#")]), ({"unsure", "outage"}, [("dial", "*100#")])])
@example([({"commit loses, then raises"}, [("dial", "*111#")]), ({"log", "say", "load"}, [("part", "1")])])
def test_what_breaks_in_a_turn_ends_with_it(lines: list[tuple[set[str], list[tuple[str, str]]]]) -> None:
    async def story(at: Bench) -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        for names, line in lines:
            before = await at.store.load(MSISDN, latest=True)
            logs.clear()
            with faults(at, names):
                answered = await say_all(at, line, "answer" in names)
            assert answered == dict.fromkeys(range(len(line)), 1)
            await at.outbox_rests()  # after what tells late
            assert (at.conversations.under_way, at.admission.waiting) == (0, 0)
            if all(said["event"] == "turn failed, nothing changed" for said in logs) and len(logs) == len(line):
                assert await at.store.load(MSISDN, latest=True) == before
            at.now += 1_000
            at.dialogue += 1
        answer = await at.dial("*111#")
        assert answer.text is not None
        assert (answer.durable, answer.ends) == (True, False)

    # What is logged is not laid out: a traceback with all its values takes a second.
    with tempfile.TemporaryDirectory() as folder, capture_logs() as logs:
        play(Path(folder), story)
