"""A flow file becomes a flow, or all its mistakes are told."""

from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import FlowErrors, compile_flow
from menus.entries import Match
from tests.menus.small import REGISTRY, SHOP, shop


def test_the_revision_is_of_what_is_said_and_not_of_how_it_is_written():
    flow = shop()
    relaid = compile_flow("# a comment\n" + SHOP.replace("[ru, en, ru-Latn]", '["ru",   en, ru-Latn]'), "f", REGISTRY)
    changed = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    assert relaid.revision == flow.revision
    assert changed.revision != flow.revision


def test_what_a_flow_serves():
    flow = shop()
    assert flow.codes == ("*1#", "*1*7#", "*2#")
    assert flow.numbers == {"100"}
    assert flow.default_language == "ru"
    assert flow.match_ussd("*1*7*2#") == Match("catalogue", ("2",))
    assert flow.match_sms("100", "BUY 12") == Match("find", values={"number": "12"})
    assert flow.match_terminal("menu") == "main"
    assert flow.match_terminal("buy") == "buy_quoted"
    assert flow.match_terminal("sell") is None


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_cut_out_of_a_file_it_is_a_flow_or_its_mistakes_are_told(data: st.DataObject):
    lines = SHOP.splitlines(keepends=True)
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, min(len(lines), start + 6)))
    source = "".join(lines[:start] + lines[end:])
    try:
        told = [] if compile_flow(source, "f", REGISTRY).nodes else [0]
    except FlowErrors as errors:
        told = [problem.line for problem in errors.problems] or [0]
    assert all(1 <= line <= len(lines) + 1 for line in told)
