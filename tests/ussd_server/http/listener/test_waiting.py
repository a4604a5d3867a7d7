"""How long a connection is waited for, without a clock: each head has its time and a rest its own."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.http.listener import Waiting


def test_each_head_has_its_time_and_a_rest_its_own() -> None:
    waiting = Waiting(100.0, 10.0, 75.0)
    waiting.octets(109.0, of_body=False)
    assert waiting.due == 110.0  # the first head's time does not begin anew with its octets
    waiting.begun()
    assert waiting.due == math.inf
    waiting.answered(200.0)
    assert waiting.due == 275.0
    waiting.octets(270.0, of_body=False)
    waiting.octets(279.0, of_body=False)
    assert waiting.due == 280.0


def test_octets_of_a_body_begin_no_head_and_others_do() -> None:
    waiting = Waiting(0.0, 10.0, 75.0)
    waiting.begun()
    waiting.octets(1.0, of_body=True)
    waiting.answered(2.0)
    assert waiting.due == 77.0
    waiting.begun()
    waiting.octets(3.0, of_body=False)
    waiting.answered(20.0)
    assert waiting.due == 30.0
    waiting.begun()
    waiting.answered(40.0)
    assert waiting.due == 115.0  # what had come was the head that has begun since


def test_a_whole_head_is_in_time_and_one_behind_a_request_is_that_ones_matter() -> None:
    waiting = Waiting(0.0, 10.0, 75.0)
    waiting.whole(12.0)
    assert waiting.due == 22.0
    waiting.begun()
    waiting.octets(13.0, of_body=False)
    waiting.whole(13.0)
    assert waiting.due == math.inf
    waiting.answered(20.0)
    assert waiting.due == 30.0


EVENTS = st.lists(
    st.tuples(st.sampled_from(["octets", "body", "whole", "begun", "answered"]), st.floats(0, 30)), max_size=30
)


@given(EVENTS)
def test_only_a_whole_head_puts_off_what_is_due(events: list[tuple[str, float]]) -> None:
    """However octets come, a connection that brings no head is due within a rest and a head's time of its answer."""
    now, waiting = 0.0, Waiting(0.0, 10.0, 75.0)
    latest, under_way = 10.0, False
    for event, later in events:
        now += later
        if event == "begun" and not under_way:
            waiting.begun()
            under_way, latest = True, math.inf
        elif event == "answered" and under_way:
            waiting.answered(now)
            under_way, latest = False, now + 85.0
        elif event == "whole" and not under_way:
            waiting.whole(now)
            latest = now + 10.0
        elif event in ("octets", "body") and now < waiting.due:
            waiting.octets(now, of_body=event == "body")
        assert waiting.due <= latest
        assert (waiting.due == math.inf) == under_way
