"""Where a subscriber's own answer ends is known without the answer, and ends as it would without memory."""

import pytest

from menus.compiler import Flow, compile_flow
from menus.events import Answered, Begin, Reply
from menus.session import Value
from tests.menus.memory.walks import OUTCOMES, Counted
from tests.menus.small import FACTS, HEAD, REGISTRY, item


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
