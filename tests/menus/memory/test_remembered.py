"""A step that one subscriber took is known for the next, if it would be the same one."""

from typing import Any

import msgspec
import pytest

from menus.events import Answered, Begin, Late, Reply
from menus.session import Items, Place, Session, encode
from tests.menus.memory.walks import ANSWERS, FREE, GOODS, OTHERS, OUTCOMES, Counted, agree, flow_with, warm
from tests.menus.small import FACTS


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
