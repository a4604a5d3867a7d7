"""A server knows when work is next without asking, as far as it was told."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.stores.redis.due import HINTS, Due


def test_the_next_is_the_earliest_of_the_lanes_that_are_asked_for() -> None:
    due = Due([0, 1])
    assert due.next([0, 1]) is None
    due.heard(0, 3, 50, "a")
    due.heard(1, 3, 40, "a")
    due.heard(0, 4, 30, "b")
    assert (due.next([0]), due.next([1]), due.next([0, 1]), due.next([])) == (30, 40, 30, None)
    due.heard(0, 4, -1, "b")
    assert due.next([0]) == 50


def test_what_is_ripe_is_given_oldest_first_and_no_more_than_asked_for() -> None:
    due = Due([0])
    for ready, (bucket, msisdn) in enumerate([(1, "a"), (2, "b"), (1, "c"), (3, "d")]):
        due.heard(0, bucket, ready, msisdn)
    assert due.ripe(0, 2, 10) == {1: ["a", "c"], 2: ["b"]}
    assert due.ripe(0, 9, 2) == {1: ["a"], 2: ["b"]}
    assert due.ripe(0, -1, 10) == {}


def test_buckets_that_are_left_out_hide_nothing_of_others() -> None:
    due = Due([0, 1])
    for ready, (bucket, msisdn) in enumerate([(1, "a"), (1, "b"), (2, "c")]):
        due.heard(0, bucket, ready, msisdn)
    due.heard(1, 1, 5, "a")
    but = {(0, 1)}
    assert due.ripe(0, 9, 1, but) == {2: ["c"]}
    assert due.ripe(1, 9, 1, but) == {1: ["a"]}
    assert (due.next([0], but), due.next([1], but), due.next([0, 1], {(0, 1), (0, 2), (1, 1)})) == (2, 5, None)


def test_what_the_store_says_replaces_what_was_known() -> None:
    due = Due([0])
    due.heard(0, 1, 5, "mine")
    due.told(0, 1, [(9, "b"), (7, "a")])
    assert (due.next([0]), due.ripe(0, 9, 9)) == (7, {1: ["a", "b"]})
    due.told(0, 1, [])
    assert due.next([0]) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-1, 50), st.sampled_from("abcdefghijklmn"))))
def test_however_much_is_heard_little_is_kept_and_the_earliest_never_lost(heard: list[tuple[int, int, str]]) -> None:
    due = Due([0])
    latest: dict[tuple[int, str], int] = {}
    for bucket, ready, msisdn in heard:
        if ready > latest.get((bucket, msisdn), -1) >= 0:
            continue  # one that goes back behind others: the store tells of those
        due.heard(0, bucket, ready, msisdn)
        latest[bucket, msisdn] = ready
    kept = due.ripe(0, 50, 1000)
    assert all(len(msisdns) <= HINTS for msisdns in kept.values())
    for bucket, msisdns in kept.items():
        for msisdn in msisdns:
            assert latest[bucket, msisdn] >= 0
