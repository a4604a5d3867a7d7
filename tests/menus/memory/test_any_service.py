"""With and without memory, every conversation with every service is the same."""

from collections.abc import Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import Flow, compile_flow
from menus.engine import work_out
from menus.events import Answered, Ask, Begin, Dropped, Event, Late, Reply
from menus.render import Channel
from menus.session import Session, encode
from tests.menus.memory.walks import OUTCOMES, Walk, flow_with
from tests.menus.small import FACTS, HEAD, NOW, REGISTRY, SMS, TERMINAL, USSD

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
