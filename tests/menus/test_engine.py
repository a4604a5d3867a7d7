"""Conversations go where the flow says, whatever is typed, answered, late or changed under them."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menus.compiler import compile_flow
from menus.engine import accepts, conclude, step
from menus.events import Answered, Ask, Begin, Defer, Dropped, Event, Late, Order, Reply, Send, Show
from menus.limits import MAX_TRAIL, SMS_WAITS_MS
from menus.own_texts import say
from menus.render import Channel
from menus.session import Session, Value
from tests.menus.small import FACTS, NOW, REGISTRY, SHOP, SMS, USSD
from tests.menus.talk import ANSWERS, FLOW, ITEMS, MAIN, Talk

# Late and changed -----------------------------------------------------------------------------------------------------


def test_a_late_query_is_answered_by_sms_and_goes_on_there():
    talk = Talk(answers={**ANSWERS, "find": ("late", None)})
    talk.dial("*1*2#")
    shown = talk.does(Reply("12"))
    assert shown is not None
    assert shown.ends
    assert shown.text == "In progress. The answer will come by SMS."
    deferred = talk.found(Defer)
    assert (deferred.operation, deferred.arguments) == ("find", {"number": "12"})
    assert talk.session is not None
    assert (talk.session.channel, talk.session.asked) == ("sms", deferred.id)
    assert not accepts(FLOW, talk.session, "1", FACTS)
    shown = talk.does(Answered(deferred.id, "ok", ITEMS[4]), SMS)
    assert shown is not None
    assert shown.text == "Thing 5 costs 50 RUB\n1. Buy"
    assert accepts(FLOW, talk.session, "1", FACTS)
    assert accepts(FLOW, talk.session, "buy", FACTS)
    assert not accepts(FLOW, talk.session, "7", FACTS)
    assert accepts(FLOW, talk.session, "1", FACTS, NOW + SMS_WAITS_MS)
    assert not accepts(FLOW, talk.session, "1", FACTS, NOW + SMS_WAITS_MS + 1)


def test_a_confirmation_by_sms_may_be_given_in_words_of_any_language():
    talk = Talk(channel=SMS)
    talk.read(Begin("s1", "find", values={"number": "12"}))
    assert talk.types("1").startswith("For 50 RUB")
    assert talk.session is not None
    for words in ("Buy", "купить", "NO", "нет", "1", "2"):
        assert accepts(FLOW, talk.session, words, FACTS)
    assert talk.types("КУПИТЬ") == "Ordered"


def test_by_sms_a_screen_without_options_ends_the_conversation():
    talk = Talk(channel=SMS, answers={**ANSWERS, "find": ("unknown", None)})
    shown = talk.does(Begin("s1", "find", values={"number": "12"}))
    assert shown is not None
    assert shown.text == "Nothing"
    assert shown.ends
    assert talk.session is None


def test_a_session_of_another_revision_starts_again_with_the_reason():
    talk = Talk(channel=Channel("ussd", lambda text: len(text) <= 160))
    talk.dial("*1*1*3#")
    talk.flow = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    changed = MAIN.replace("Help", "Aid")
    assert talk.types("1") == f"This session is over. Please start again.\n{changed}"
    assert talk.session is not None
    assert (talk.session.revision, talk.session.serial) == (talk.flow.revision, 1)
    assert talk.types("1").startswith("Goods")


def test_a_reply_to_nothing_and_an_unknown_node():
    shown = Talk().does(Reply("1"))
    assert shown is not None
    assert shown.ends
    shown = Talk().does(Begin("s", "nowhere"))
    assert shown is not None
    assert shown.text == "Unknown code."


def test_an_order_that_the_flow_no_longer_knows_is_concluded_in_general():
    talk = Talk()
    talk.dial("*1*1*3*1#")
    talk.types("1")
    pending = talk.found(Order).pending
    newer = compile_flow(SHOP.replace("en: Help", "en: Aid"), "f", REGISTRY)
    assert conclude(newer, pending, "done", {"left": 1}, NOW, FACTS) == (Send("Your order is done."),)
    assert conclude(newer, pending, "failed", None, NOW, FACTS)[0] == Send(say(newer, "order_failed", {}, "en"))
    assert conclude(FLOW, pending, "done", None, NOW, FACTS) == (Send("Your order is done."),)


# Availability ---------------------------------------------------------------------------------------------------------

DAY = 86_400_000
FIRST = 1_258_318_800_000
"""Midnight before 16 November 2009 in Moscow, which is three hours ahead of UTC."""
LAST = 1_289_854_800_000
"""Midnight after 15 November 2010 in Moscow."""


@pytest.mark.parametrize(
    ("msisdn", "now", "served"),
    [
        ("79101234567", NOW, True), ("79850000001", NOW, True), ("79850000002", NOW, False), ("", NOW, False),
        ("79101234567", FIRST - 1, False), ("79101234567", FIRST, True),
        ("79101234567", LAST - 1, True), ("79101234567", LAST, False),
    ],
)  # fmt: skip
def test_the_service_is_there_for_some_numbers_in_some_time(msisdn: str, now: int, served: bool):
    talk = Talk(facts={**FACTS, "msisdn": msisdn}, now=now)
    assert talk.dial("*1#") == (MAIN if served else "Not for you yet")
    assert (talk.session is not None) is served


# Properties -----------------------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.sampled_from(["0", "00", "1", "2", "3", "4", "5", "9", "99", "12", "1234", "да", "x", ""]).map(Reply),
    st.text(max_size=20).map(Reply),
    st.sampled_from(["timeout", "abort", "network"]).map(Dropped),
    st.builds(
        Begin,
        st.just("s2"),
        st.sampled_from(["main", "catalogue", "ask_pin", "help", "nowhere"]),
        st.lists(st.sampled_from(["1", "2", "3", "0", "x", "1234", "99"]), max_size=4).map(tuple),
    ),
)
OUTCOMES: dict[str, list[tuple[str, Value]]] = {
    "items": [("ok", ITEMS), ("ok", []), ("down", None), ("late", None), ("oops", 3), ("ok", [{"id": "x"}])],
    "find": [("ok", ITEMS[0]), ("unknown", None), ("late", None)],
    "quote": [("ok", {"price": 0, "starts": "2010-02-28"}), ("poor", {"missing": 12345}), ("late", None)],
    "verify": [("ok", None), ("wrong", None), ("late", None)],
    "activate": [("done", None), ("already", None)],
}


@settings(max_examples=150)
@given(
    data=st.data(), channel=st.sampled_from([USSD, SMS]), language=st.sampled_from(["ru", "en", "ru-Latn", "", "fr"])
)
def test_whatever_happens_there_is_an_answer_that_fits_and_a_session_that_can_be_stored(
    data: st.DataObject, channel: Channel, language: str
):
    facts = {**FACTS, "language": language, "channel": channel.name}
    session: Session | None = None
    for event in [Begin("s1", "main"), *data.draw(st.lists(EVENTS, max_size=15))]:
        facts["active"] = data.draw(st.booleans())
        waiting: Event | None = event
        while waiting is not None:
            done = step(FLOW, session, waiting, NOW, facts, channel)
            assert done == step(FLOW, session, waiting, NOW, dict(facts), channel)
            session, waiting = done.session, None
            for effect in done.effects:
                if isinstance(effect, Show):
                    assert channel.fits is None or channel.fits(effect.text)
                    assert effect.ends or session is not None
                if isinstance(effect, Ask):
                    outcome, value = data.draw(st.sampled_from(OUTCOMES[effect.operation]))
                    waiting = Late(effect.id) if outcome == "late" else Answered(effect.id, outcome, value)
        if session is not None:
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(session), type=Session) == session
            assert len(session.trail) <= MAX_TRAIL
            assert "pin" not in session.values
            assert session.tail == ()


@settings(max_examples=100)
@given(choices=st.lists(st.sampled_from(["1", "2", "3", "4", "12", "34"]), max_size=6))
def test_back_undoes_every_step(choices: list[str]):
    talk = Talk()
    talk.dial("*1#")
    trail = []
    for choice in choices:
        before, text = talk.session, talk.types("x")
        talk.session = before
        shown = talk.does(Reply(choice))
        if shown is None or shown.ends or talk.session is None or talk.session.node == before.node:  # type: ignore[union-attr]
            talk.session = before
            continue
        if len(talk.session.trail) != len(before.trail) + 1:  # type: ignore[union-attr]
            return
        trail.append((before, text))
    for before, text in reversed(trail):
        talk.does(Reply("0"))
        assert talk.session is not None
        assert talk.session == msgspec.structs.replace(before, serial=talk.session.serial, slots=talk.session.slots)
        again = replace(talk, effects=[])
        assert again.types("x") == text
