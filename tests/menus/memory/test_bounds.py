"""No more is remembered than may be, and what is forgotten misleads nobody."""

from collections.abc import Mapping
from typing import Any

from menus.events import Begin, Reply
from menus.session import Items, encode
from tests.menus.memory.walks import ANSWERS, GOODS, OTHERS, Counted, flow_with
from tests.menus.small import FACTS, item


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
