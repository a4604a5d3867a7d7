"""What cannot be done now waits longer each time, up to a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.outbox.outcomes import FIRST_WAIT_MS, LONGEST_WAIT_MS, wait_ms


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1_000), (2, 2_000), (6, 32_000), (7, 60_000)])
def test_the_wait_doubles_up_to_a_bound(attempt: int, wait: int) -> None:
    assert wait_ms(attempt) == wait


@given(st.integers(1, 10**9))
def test_no_wait_is_longer_than_the_longest(attempt: int) -> None:
    assert FIRST_WAIT_MS <= wait_ms(attempt) <= LONGEST_WAIT_MS
