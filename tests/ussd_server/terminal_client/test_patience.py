"""How long a client waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.terminal_client import Patience


@given(
    first=st.floats(0.001, 10),
    more=st.floats(0, 100),
    tries=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
    retry_after=st.floats(0, 3600),
)
def test_a_wait_is_what_the_server_named_and_a_part_of_a_bounded_span(
    first: float, more: float, tries: int, jitter: float, retry_after: float
) -> None:
    patience = Patience(first=first, most=first + more)
    wait = patience.wait(tries, jitter, retry_after)
    assert retry_after <= wait <= retry_after + patience.most
    assert patience.wait(tries + 1, jitter, retry_after) >= wait


def test_the_span_doubles() -> None:
    patience = Patience(first=0.25, most=4.0)
    assert [patience.wait(tries, 1.0) for tries in range(1, 8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert patience.wait(5, 0.25) == 1.0


@pytest.mark.parametrize(
    "fields",
    [{"first": 0.0}, {"first": 2.0, "most": 1.0}, {"attempt": 0.0}, {"attempt": 30.0, "total": 20.0}],
)
def test_what_is_no_patience_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Patience(**fields)
