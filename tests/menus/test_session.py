"""What a session keeps of a list: the same bytes however it was answered, made once for a list that answers again."""

from hypothesis import given
from hypothesis import strategies as st

from menus.session import Items, decode, encode, pack, unpack

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES))
def test_items_are_packed_as_any_list_is(values: list[object]):
    assert pack(Items(values)) == pack(values) == encode(values)
    assert unpack(pack(Items(values))) == values


def test_items_are_packed_once():
    items = Items([1, "two"])
    assert pack(items) is pack(items)
    assert pack([1, "two"]) is not pack([1, "two"])


def test_items_inside_a_value_are_stored_as_a_list():
    assert decode(encode({"found": Items([1])})) == {"found": [1]}
