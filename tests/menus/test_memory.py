"""A step that is remembered is the step that would be worked out, whoever took it before; and no more is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import Flow, compile_flow
from menus.conditions import Facts
from menus.engine import step, work_out
from menus.events import Answered, Ask, Begin, Dropped, Effect, Event, Late, Reply
from menus.memory import Memory
from menus.render import Channel
from menus.session import Items, Place, Session, Value, encode
from menus.steps import Step
from tests.menus.small import FACTS, HEAD, NOW, REGISTRY, SMS, TERMINAL, USSD, item, shop

FLOW = shop()
GOODS = Items(item(number) for number in range(1, 13))
OTHERS = Items(item(number) for number in range(3, 6))
ANSWERS: dict[str, tuple[str, Value]] = {
    "items": ("ok", GOODS),
    "find": ("ok", item(5)),
    "quote": ("ok", {"price": 5000, "starts": "2009-12-01"}),
    "verify": ("ok", None),
    "activate": ("done", None),
}

OUTCOMES: dict[str, list[tuple[str, Value]]] = {
    "items": [("ok", GOODS), ("ok", OTHERS), ("ok", list(OTHERS)), ("ok", Items()), ("down", None), ("down", GOODS)],
    "find": [("ok", item(1)), ("unknown", None)],
    "quote": [("ok", {"price": 0, "starts": "2010-02-28"}), ("poor", {"missing": 12345}), ("ok", GOODS)],
    "verify": [("ok", None), ("wrong", None)],
    "balance": [
        ("ok", {"left": 5}),
        ("ok", {"left": -(10**12), "more": "than is asked for"}),
        ("ok", {"left": "5"}),
        ("ok", {"left": 5, "much": "x" * 20_000}),
        ("ok", [5]),
        ("down", None),
        ("down", {"left": 5}),
        ("gone", {"left": 5}),
    ],
    "activate": [("done", None), ("already", None)],
}


def flow_with(steps: int = 4096, octets: int = 1 << 22) -> Flow:
    """Return the flow with a memory of its own, of this size."""
    fresh = replace(FLOW)
    fresh.__dict__["memory"] = Memory(fresh, steps, octets)
    return fresh


class Walk:
    """One event after the other, as a turn hands them in, and which of them had to be worked out."""

    def __init__(self, flow: Flow, channel: Channel, now: int, session: Session | None) -> None:
        self.flow, self.channel, self.now = flow, channel, now
        self.done = Step(session)
        self.worked_out: list[Event] = []

    def work_out(self, flow: Flow, session: Session | None, event: Event, *more: Any) -> Step:
        self.worked_out.append(event)
        return work_out(flow, session, event, *more)

    def take(self, event: Event, facts: Facts) -> tuple[Effect, ...]:
        memory, before, session = self.flow.memory, self.done, self.session
        at = self.now, facts, self.channel
        if isinstance(event, Answered) and session is not None and session.asked == event.ask != "":
            done = self.done = memory.answered(self.work_out, before, event.outcome, event.value, *at)
        else:
            done = self.done = memory.step(self.work_out, session, event, *at)
        waits = done.waits
        if waits is None:
            return done.effects
        assert (done.session, done.effects) == (None, ())
        return (Ask(waits.id, waits.operation, waits.arguments),)

    @property
    def session(self) -> Session | None:
        return self.done.whole_session


@dataclass
class Counted:
    """Takes a subscriber's steps with the flow's memory, and counts those that had to be worked out."""

    flow: Flow
    id: str = "s1"
    channel: Channel = USSD
    facts: dict[str, str | bool | int] = field(default_factory=lambda: dict(FACTS))
    answers: dict[str, tuple[str, Value]] = field(default_factory=lambda: dict(ANSWERS))
    session: Session | None = None
    taken: list[tuple[Session | None, Event]] = field(default_factory=list)
    """All steps: where the subscriber stood, and what they did there."""
    asked: list[tuple[Session | None, Event, Session | None]] = field(default_factory=list)
    """Those that asked: where the subscriber stood, what they did there, and where they waited then."""

    def does(self, *events: Event) -> list[Event]:
        """Take these events and the answers between them, as without a memory; return which had to be worked out."""
        facts = self.facts | {"channel": self.channel.name}
        worked_out: list[Event] = []
        for event in events:
            walk = Walk(self.flow, self.channel, NOW, self.session)
            waiting: Event | None = event
            plain = self.session
            while waiting is not None:
                effects = walk.take(waiting, facts)
                done = work_out(self.flow, plain, waiting, NOW, facts, self.channel)
                assert Step(walk.session, effects) == done
                self.taken.append((plain, waiting))
                if asks := [effect for effect in effects if isinstance(effect, Ask)]:
                    self.asked.append((plain, waiting, done.session))
                    waiting = Answered(asks[0].id, *self.answers[asks[0].operation])
                else:
                    waiting = None
                plain = done.session
            self.session = walk.session
            worked_out += walk.worked_out
        return worked_out

    def walks(self) -> list[Event]:
        """Take the usual way: the menu, the list, an item and back, the menu."""
        return self.does(Begin(self.id, "main"), *map(Reply, ("1", "3", "0", "99", "00", "x", "5")))


FREE = [Reply("x")]


def warm() -> Flow:
    """Return the flow with the usual way remembered: two subscribers took it."""
    flow = flow_with()
    for msisdn in ("79101111111", "79102222222"):
        Counted(flow, facts=FACTS | {"msisdn": msisdn}).walks()
    return flow


def agree(flow: Flow, session: Session | None, *events: Event) -> bool:
    """Whether these steps are the same with and without memory; of a session that cannot be, also how they fail."""
    facts = FACTS | {"channel": USSD.name}
    walk = Walk(flow, USSD, NOW, session)
    results: list[list[Step | type[Exception]]] = [[], []]
    for event in events:
        try:
            effects = walk.take(event, facts)
            results[0].append(Step(walk.session, effects))
        except (KeyError, TypeError, AssertionError) as error:
            results[0].append(type(error))
        try:
            done = work_out(flow, session, event, NOW, facts, USSD)
            session = done.session
            results[1].append(done)
        except (KeyError, TypeError, AssertionError) as error:
            results[1].append(type(error))
    return results[0] == results[1]


# What is remembered ---------------------------------------------------------------------------------------------------


def test_what_one_subscriber_did_is_known_for_the_next():
    flow = flow_with()
    first, second = Counted(flow), Counted(flow, "s2", facts=FACTS | {"msisdn": "79102222222"})
    assert len(first.walks()) == 10
    assert len(second.walks()) == 7  # from the first list to the last, and what is free
    assert first.walks() == second.walks() == FREE


def test_a_session_that_was_read_from_a_store_is_known():
    flow = warm()
    talk = Counted(flow, "s2")
    for event in (Begin("s2", "main"), *map(Reply, ("1", "3", "0", "99", "00"))):
        assert talk.does(event) == []
        talk.session = msgspec.msgpack.decode(encode(talk.session), type=Session)


def test_the_same_list_is_known_though_it_was_made_anew():
    flow = warm()
    assert Counted(flow, answers=ANSWERS | {"items": ("ok", Items(GOODS))}).walks() == FREE
    assert len(Counted(flow, answers=ANSWERS | {"items": ("ok", OTHERS)}).walks()) > 1


@pytest.mark.parametrize("differs", [{"active": False}, {"language": "ru"}])
def test_whoever_differs_in_what_counts_has_steps_of_their_own(differs: dict[str, str | bool]):
    flow = warm()
    assert len(Counted(flow, facts=FACTS | differs).walks()) > 5


def test_facts_that_no_condition_asks_for_make_no_difference():
    flow = warm()
    assert flow.facts == {"active", "age"}
    assert Counted(flow, facts=FACTS | {"msisdn": "79100000000", "locked": True}).walks() == FREE


def test_who_the_service_is_not_there_for_gets_no_remembered_screen():
    flow = flow_with()
    Counted(flow).does(Begin("s1", "main"))
    far = Counted(flow, facts=FACTS | {"msisdn": "79200000000"})
    assert len(far.does(Begin("s2", "main"))) == 1
    assert far.session is None


DIFFERENT: list[dict[str, Any]] = [
    {"node": "main"}, {"node": "item"}, {"node": "nowhere"}, {"page": 1}, {"tries": 1}, {"tries": 2}, {"entry": "help"},
    {"tail": ("2",)}, {"slots": (0, 2)}, {"slots": ()}, {"revision": "other"}, {"instead": "help"}, {"dropped": True},
    {"asked": "s1-1"}, {"asked": ""}, {"values": {}}, {"values": {"colour": "red"}}, {"trail": ()},
    {"trail": (Place("help"), Place("main"))}, {"id": "s9"}, {"serial": 7}, {"at": 1}, {"channel": "sms"},
]  # fmt: skip


@pytest.mark.parametrize("differs", DIFFERENT, ids=repr)
def test_a_session_that_differs_anywhere_has_its_own_step(differs: dict[str, Any]):
    flow = warm()
    talk = Counted(flow)
    talk.walks()
    talk.does(*[Begin("s1", "main"), *map(Reply, ("1", "99", "3", "1", "00", "3", "0", "99"))] * 2)
    assert len(talk.taken) > 20
    for session, event in list(talk.taken):
        if session is not None:
            assert agree(flow, msgspec.structs.replace(session, **differs), event)


def test_an_event_that_differs_anywhere_has_its_own_step():
    flow = warm()
    talk = Counted(flow)
    talk.walks()
    stood, asking, waited = talk.asked[0]
    assert waited is not None
    answers = [Answered(waited.asked, *outcome) for outcome in OUTCOMES["items"]]
    for event in [*answers, Answered("s1-9", "ok", GOODS), Answered("", "ok", GOODS), Late(waited.asked), Reply("1")]:
        for again in (event, *answers, Reply("1"), Reply("0")):
            assert agree(flow, stood, asking, event, again)
            assert agree(flow, waited, event, again)
    for session, _ in list(talk.taken):
        for event in (
            *map(Reply, ("1", "2", "3", "0", "00", "9", "99", " 1")),
            Begin("s1", "main"),
            Begin("s1", "help"),
        ):
            assert agree(flow, session, event)


def test_what_two_sessions_carry_is_not_mixed_up():
    flow = warm()
    talk = Counted(flow)
    talk.walks()
    sessions = [session for session, _ in talk.taken if session is not None]
    events = [event for _, event in talk.taken if not isinstance(event, Begin)]
    for one in sessions:
        for other in sessions:
            mixed = msgspec.structs.replace(one, values=other.values)
            for event in events:
                assert agree(flow, mixed, event)


# What is not ----------------------------------------------------------------------------------------------------------


def test_nothing_typed_at_an_input_is_remembered_nor_what_follows_from_it():
    flow = flow_with()
    for _ in range(2):
        talk = Counted(flow)
        talk.does(Begin("s1", "main"))
        assert talk.does(Reply("2"))[1:] == []
        kept = len(flow.memory)
        number = talk.does(Reply("77"), Reply("00"))
        assert number[0] == Reply("77")
        assert number[-1] == Reply("00")
        pin = talk.does(Reply("4"), Reply("1234"))[-2:]
        assert pin[0] == Reply("1234")
        assert isinstance(pin[1], Answered)
        assert len(flow.memory) <= kept + 2
    assert "1234" not in repr(vars(flow.memory))


def test_a_secret_typed_at_a_menu_or_dialled_is_not_remembered():
    flow = flow_with()
    talk = Counted(flow)
    talk.does(Begin("s1", "main"), Reply("4321"), Reply("да"), Begin("s1", "ask_pin", ("8765",)))
    talk.does(Begin("s1", "catalogue", ("7531",)), Begin("s1", "find", values={"number": "6543"}), Reply("1"))
    remembered = repr(vars(flow.memory))
    assert not [typed for typed in ("4321", "да", "8765", "7531", "6543") if typed in remembered]


def test_nothing_typed_in_another_revision_is_remembered():
    """What is a menu now may have been an input then."""
    flow = flow_with()
    talk = Counted(flow)
    talk.does(Begin("s1", "main"))
    kept = len(flow.memory)
    assert talk.session is not None
    talk.session = msgspec.structs.replace(talk.session, revision="other")
    assert talk.does(Reply("12")) == [Reply("12")]
    assert len(flow.memory) == kept


def test_a_single_subscribers_answer_is_not_remembered():
    flow = flow_with()
    answers = ANSWERS | {"items": ("ok", list(GOODS)), "quote": ("ok", {"price": 424242, "starts": "2009-12-01"})}
    talk = Counted(flow, answers=answers)
    talk.walks()
    talk.does(Begin("s1", "main"), Reply("1"), Reply("1"), Reply("1"))
    assert not [one for one in ("424242", "Thing 2") if one in repr(vars(flow.memory))]


def balance(end: str = "end: {ru: 'Осталось {sum.left:money}', en: 'Left: {sum.left:money}'}") -> Flow:
    """Return a flow that tells a balance and ends."""
    nodes = f"  main:\n    query: balance\n    as: sum\n    ok: shown\n    down: down\n  shown: {{{end}}}\n"
    return compile_flow(HEAD + "nodes:\n" + nodes + "  down: {end: {ru: Нет, en: No}}\n", "b.yaml", REGISTRY)


def test_where_one_subscribers_own_answer_ends_is_known_and_the_answer_is_not():
    flow = balance()
    for language, left in (("en", 1), ("en", 424242), ("ru", 535353), ("fr", 0)):
        talk = Counted(flow, facts=FACTS | {"language": language}, answers={"balance": ("ok", {"left": left})})
        assert not [event for event in talk.does(Begin("s1", "main")) if isinstance(event, Answered)]
    assert "4242" not in repr(vars(flow.memory))


@pytest.mark.parametrize("answer", OUTCOMES["balance"], ids=lambda answer: repr(answer)[:30])
def test_an_answer_that_is_not_what_the_flow_was_promised_ends_as_without_memory(answer: tuple[str, Value]):
    flow = balance()
    for _ in range(2):
        Counted(flow, answers={"balance": answer}).does(Begin("s1", "main"))


@pytest.mark.parametrize(
    "text",
    [
        "{sum.left:money}", "{first} {last} {sum.left:money}", "{first} {sum.left:money} {last}",
        "{sum.left:money} {last} {first}", "{first} {last}", "Goodbye",
    ],
)  # fmt: skip
def test_an_end_may_name_what_the_session_knows_beside_the_answer(text: str):
    nodes = f"""\
  main:
    menu: {{ru: М, en: M}}
    options: [{{ru: А, en: A, to: asked, set: {{first: red, last: blue}}}}]
  asked: {{query: balance, as: sum, ok: shown, down: shown_down}}
  shown: {{end: {{ru: "{text}", en: "{text}"}}}}
  shown_down: {{end: {{ru: Нет, en: No}}}}
"""
    flow = compile_flow(HEAD + "nodes:\n" + nodes, "b.yaml", REGISTRY)
    for left in (1, 424242):
        talk = Counted(flow, answers={"balance": ("ok", {"left": left})})
        worked_out = talk.does(Begin("s1", "main"), Reply("1"))
    assert worked_out == []


def test_an_end_of_several_pages_goes_on():
    flow = balance(f"end: {{ru: О, en: '{'Left ' * 60}{{sum.left:money}}'}}")
    for _ in range(2):
        talk = Counted(flow, answers={"balance": ("ok", {"left": 1})})
        talk.does(Begin("s1", "main"))
        assert talk.session is not None
        talk.does(Reply("9"))


def test_a_list_that_leads_to_an_end_is_cut_as_without_memory():
    nodes = "  main: {query: items(red), as: things, ok: shown, down: shown}\n  shown: {end: {ru: О, en: L}}\n"
    flow = compile_flow(HEAD + "nodes:\n" + nodes, "b.yaml", REGISTRY)
    for _ in range(2):
        Counted(flow, answers={"items": ("ok", [item(number) for number in range(1, 200)])}).does(Begin("s1", "main"))


def test_a_list_that_is_one_subscribers_own_is_not_remembered():
    flow = flow_with(steps=20)
    for number in range(60):
        own = Items(item(1000 + number + one) for one in range(1, 4))
        talk = Counted(flow, facts=FACTS | {"msisdn": f"7910{number:07}"}, answers=ANSWERS | {"items": ("ok", own)})
        for _ in range(2):
            talk.does(Begin("s1", "main"), *map(Reply, ("1", "3", "0", "00")))
    assert "Thing 10" not in repr(vars(flow.memory))
    assert len(flow.memory._first_came_to) <= 20
    assert len(flow.memory) == 2  # the menu, and what it asks


def test_a_step_that_does_more_than_show_or_ask_is_not_remembered():
    flow = flow_with()
    many = Items(item(number) for number in range(1, 200))
    for _ in range(2):
        talk = Counted(flow, answers=ANSWERS | {"items": ("ok", many)})
        assert isinstance(talk.does(Begin("s1", "catalogue"))[-1], Answered)  # with a note that the list was cut


def held(kept: Mapping[object, Any]) -> int:
    """Return how many steps these are, with those that answers led to."""
    return sum(1 + held(each.answers) for each in kept.values())


def test_it_never_holds_more_than_it_may():
    few, little = flow_with(steps=5), flow_with(octets=300)
    for flow in (few, little):
        for language in ("ru", "en", "ru-Latn"):
            for items in (GOODS, OTHERS, Items(GOODS[:9])):
                talk = Counted(flow, facts=FACTS | {"language": language}, answers=ANSWERS | {"items": ("ok", items)})
                flow.memory._first_came_to[hash(("ok", items.packed))] = "another"
                for event in (Begin("s1", "main"), *map(Reply, ("1", "3", "0", "99", "00"))):
                    talk.does(event)
                    assert held(few.memory._kept) <= len(few.memory) <= 5
                    assert little.memory.octets <= 300 + len(encode(GOODS)) * 1.1
    assert len(few.memory) > 0


def test_an_address_that_is_used_again_leads_to_nothing_wrong():
    """What a session carries is known by its address; of what is forgotten, others may get the address."""
    flow = flow_with(steps=4)
    for number in range(60):
        items = Items(item(number + one) for one in range(1, 5))
        talk = Counted(flow, f"s{number}", answers=ANSWERS | {"items": ("ok", items)})
        flow.memory._first_came_to[hash(("ok", items.packed))] = "another"
        for event in (Begin(talk.id, "main"), *map(Reply, ("1", "3", "0", "2", "0", "00"))):
            talk.does(event)
            for key, kept in flow.memory._kept.items():
                assert isinstance(key, tuple)
                if len(key) > 3:  # no entry
                    assert key[:2] == (id(kept.begins[1]), id(kept.begins[0]))
            assert len(flow.memory._addresses) == len(flow.memory._carried)


def test_facts_that_are_missing_are_no_harm():
    flow = flow_with()
    facts = {"msisdn": "79101234567"}
    for _ in range(2):
        assert step(flow, None, Begin("s", "main"), NOW, facts, USSD) == work_out(
            flow, None, Begin("s", "main"), NOW, facts, USSD
        )
    assert len(flow.memory) == 0


# Properties -----------------------------------------------------------------------------------------------------------

SUBSCRIBERS: list[tuple[Mapping[str, str | bool | int], Channel]] = [
    ({**FACTS, "msisdn": "79101111111"}, USSD),
    ({**FACTS, "msisdn": "79102222222"}, USSD),
    ({**FACTS, "msisdn": "79103333333", "active": False, "age": 18}, USSD),
    ({**FACTS, "msisdn": "79104444444", "language": "ru"}, SMS),
    ({**FACTS, "msisdn": "79105555555"}, TERMINAL),
]
REPLIES = st.sampled_from(["1", "2", "3", "4", "5", "0", "00", "9", "99", "12", "1234", "01", "да", "x"]).map(Reply)
WHO = st.integers(0, len(SUBSCRIBERS) - 1)


def begins(nodes: list[str]) -> st.SearchStrategy[Event]:
    return st.builds(Begin, st.just("s"), st.sampled_from(nodes), st.sampled_from([(), (), ("1",), ("2", "1234")]))


def plays(flow: Flow, begins: st.SearchStrategy[Event], data: st.DataObject) -> None:
    """Let several subscribers take the same inputs, with the flow's memory and without any: nothing differs."""
    sessions: dict[int, Session | None] = {}
    plain: dict[int, Session | None] = {}
    dropped = st.just(Dropped("timeout"))
    script = data.draw(st.lists(st.one_of(begins, REPLIES, REPLIES, dropped), min_size=1, max_size=10))
    late, looks = data.draw(st.booleans()), data.draw(st.booleans())
    answers = {name: data.draw(st.sampled_from(known)) for name, known in OUTCOMES.items()}
    for event in script:
        for who in data.draw(st.lists(WHO, min_size=1, max_size=6)):
            facts, channel = SUBSCRIBERS[who]
            facts = {**facts, "channel": channel.name}
            waiting: Event | None = msgspec.structs.replace(event, id=f"s{who}") if isinstance(event, Begin) else event
            if data.draw(st.booleans()) and sessions.get(who) is not None:
                sessions[who] = msgspec.msgpack.decode(encode(sessions[who]), type=Session)
            walk = Walk(flow, channel, NOW + who, sessions.get(who))
            while waiting is not None:
                effects = walk.take(waiting, facts)
                done = work_out(flow, plain.get(who), waiting, NOW + who, facts, channel)
                assert effects == done.effects
                if looks:
                    assert walk.session == done.session
                plain[who] = done.session
                if done.session is not None:
                    plain[who] = msgspec.msgpack.decode(encode(done.session), type=Session)
                asked = [effect for effect in effects if isinstance(effect, Ask)]
                waiting = None
                if asked:
                    waiting = Late(asked[0].id) if late else Answered(asked[0].id, *answers[asked[0].operation])
            assert walk.session == done.session
            sessions[who] = walk.session


@settings(max_examples=100)
@given(data=st.data(), steps=st.sampled_from([2, 9, 4096]))
def test_with_and_without_memory_every_conversation_is_the_same(data: st.DataObject, steps: int):
    found = st.just(Begin("s", "find", values={"number": "12"}))
    plays(flow_with(steps), begins(["main", "catalogue", "ask_pin", "help"]) | found, data)


CONDITIONS = st.sampled_from(
    ["active", "not active", "age is 18", "language is ru", "channel is sms", "active and age is 20"]
)


@st.composite
def flows(draw: st.DrawFn) -> tuple[Flow, list[str]]:
    """A service of a few nodes of all kinds that lead anywhere, and their names."""
    names = [f"n{number}" for number in range(draw(st.integers(2, 6)))]
    kinds = st.sampled_from(["menu", "menu", "list", "check", "do", "input", "verify", "balance"])
    nodes = ""
    for place, name in enumerate(names):
        nodes += f"  {name}:\n"
        target = st.sampled_from(names)
        onward = st.sampled_from(names[place + 1 :] or ["end"])  # no round without a screen
        match draw(kinds):
            case "menu":
                nodes += f"    menu: {{ru: М {name}, en: M {name}}}\n    options:\n"
                for option in range(draw(st.integers(1, 4))):
                    when = draw(st.one_of(st.just(""), CONDITIONS.map(lambda condition: f", when: {condition}")))
                    colour = draw(st.sampled_from(["", ", set: {colour: red}", ", set: {colour: blue}"]))
                    nodes += f"      - {{ru: в{option}, en: o{option}, to: {draw(target)}{when}{colour}}}\n"
            case "list":
                nodes += (
                    f"    list: items(red)\n    title: {{ru: С, en: L}}\n    each: item\n"
                    f'    item: "{{item.name}}"\n    to: {draw(onward)}\n    empty: {draw(onward)}\n'
                    f"    down: {draw(onward)}\n"
                )
            case "check":
                nodes += f"    check: {draw(CONDITIONS)}\n    yes: {draw(onward)}\n    no: {draw(onward)}\n"
            case "do":
                nodes += f"    do: activate\n    done: {draw(onward)}\n    already: {draw(onward)}\n"
            case "balance":
                said = draw(st.sampled_from(["О", "Остаток", "Остаток " * 40]))
                texts = f'{{ru: "{said} {{sum.left:money}}", en: "Left: {{sum.left:money}}"}}'
                last = f"end: {texts}"
                if draw(st.integers(0, 3)) == 0:
                    last = f"menu: {texts}\n    options:\n      - {{ru: в, en: o, to: {draw(target)}}}"
                nodes += (
                    f"    query: balance\n    as: sum\n    ok: {name}e\n    down: {draw(onward)}\n"
                    f"  {name}e:\n    {last}\n"
                )
            case "input":
                nodes += (
                    f"    input: {{ru: В, en: I}}\n    as: number\n    accept: digits(1..4)\n    to: {draw(target)}\n"
                )
            case _:
                nodes += (
                    f"    input: {{ru: П, en: P}}\n    as: pin\n    accept: digits(1..4)\n    secret: true\n"
                    f"    to: {name}v\n  {name}v:\n    query: verify(pin)\n    ok: {draw(onward)}\n"
                    f"    wrong: {draw(onward)}\n"
                )
    nodes += "  end:\n    end: {ru: Конец, en: End}\n"
    entries = "".join(f'  - {{ussd: "*{number}#", to: {name}}}\n' for number, name in enumerate([*names, "end"], 2))
    text = HEAD.replace("to: main", "to: n0").replace("home: main", "home: n0") + entries + "nodes:\n" + nodes
    return compile_flow(text, "drawn.yaml", REGISTRY), names


@settings(max_examples=60)
@given(data=st.data(), service=flows())
def test_so_it_is_for_every_service(data: st.DataObject, service: tuple[Flow, list[str]]):
    flow, names = service
    plays(flow, begins(names), data)
