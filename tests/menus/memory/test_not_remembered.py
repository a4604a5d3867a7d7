"""Nothing that is one subscriber's own is remembered: what they typed, and what they were answered."""

import msgspec

from menus.engine import step, work_out
from menus.events import Answered, Begin, Reply
from menus.session import Items
from tests.menus.memory.walks import ANSWERS, GOODS, Counted, flow_with
from tests.menus.small import FACTS, NOW, USSD, item


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


def test_facts_that_are_missing_are_no_harm():
    flow = flow_with()
    facts = {"msisdn": "79101234567"}
    for _ in range(2):
        assert step(flow, None, Begin("s", "main"), NOW, facts, USSD) == work_out(
            flow, None, Begin("s", "main"), NOW, facts, USSD
        )
    assert len(flow.memory) == 0
