"""A server is confirmed only where no failover can be under way that a majority voted for, and for no longer."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.stores.redis.confirmation import (
    MOST_MS,
    Verdict,
    View,
    given_up,
    judge,
    longest_failover_ms,
    newest,
    open_votes,
)

MASTER: Final = ("10.0.0.1", 6379)
REPLICA: Final = ("10.0.0.2", 6379)

CALM: Final = View("s1", MASTER, MASTER, frozenset({"master"}), 0, 0, "", 3, 2, 100, 5_000, 180_000)
SWITCHED: Final = replace(CALM, names=REPLICA, watches=REPLICA, epoch=1)
VOTED: Final = replace(CALM, flags=frozenset({"master", "s_down", "o_down"}), voted=1, leader="s1")
"""A Sentinel that gave its vote to the first; then the master came back, so that the flags are gone again."""
FORGIVING: Final = replace(VOTED, flags=CALM.flags)
FAILING_OVER: Final = replace(VOTED, flags=VOTED.flags | {"failover_in_progress"})


def said(*views: View) -> list[View]:
    """Return them as of different Sentinels, the first of which is the one that carries out failovers."""
    return [replace(view, sentinel=f"s{number}") for number, view in enumerate(views, 1)]


@pytest.mark.parametrize(
    ("views", "doubt"),
    [
        (said(CALM, CALM, CALM), ""),
        (said(CALM, CALM), ""),
        (said(CALM), "only 1 of 3 Sentinels answer (name them all in the store's URL)"),
        (said(CALM, VOTED, VOTED), "only 1 of 3 Sentinels see it up"),
        (said(CALM, CALM, replace(CALM, flags=frozenset({"master", "s_down"}))), ""),
        (said(FAILING_OVER, CALM, CALM), "a failover is under way"),
        # The one that carries it out is not asked: the other two have voted for it, and see the master back.
        (said(CALM, FORGIVING, FORGIVING)[1:], "the Sentinels voted for a failover, and the one that should carry it"),
        # It is asked, and has given up.
        (said(CALM, FORGIVING, FORGIVING), ""),
        (said(CALM, FORGIVING, FORGIVING)[:2], ""),
        # It was started again, and the others, too, so that nobody knows any more who it was: all say that it is none.
        (said(*[replace(FORGIVING, leader="")] * 3), ""),
        (said(*[replace(FORGIVING, leader="")] * 3)[:2], "the Sentinels voted for a failover"),
        # It has ended, and not all know of it.
        (said(SWITCHED, CALM, CALM), "the Sentinels name 10.0.0.2:6379"),
        (said(SWITCHED, SWITCHED), "the Sentinels name 10.0.0.2:6379"),
        # One that was cut off knows nothing of the failover that made this one the master.
        (said(replace(CALM, epoch=4), replace(CALM, epoch=4), replace(SWITCHED, epoch=3)), ""),
        (said(replace(CALM, flags=frozenset({"master", "master_reboot"})), CALM), "only 1 of 3 Sentinels see it up"),
    ],
)  # fmt: skip
def test_the_master_is_confirmed_where_no_failover_can_be_under_way(views: list[View], doubt: str) -> None:
    verdict = judge(views, MASTER)
    assert verdict.doubt.startswith(doubt) if doubt else verdict.doubt == ""


def test_a_sentinel_that_is_named_twice_counts_once() -> None:
    assert judge([CALM, CALM], MASTER).doubt.startswith("only 1 of 3")


def test_a_new_master_is_confirmed_while_the_rest_of_its_failover_is_under_way() -> None:
    ending = replace(FAILING_OVER, names=REPLICA, epoch=1)
    assert judge(said(ending, SWITCHED, VOTED), REPLICA) == Verdict(), "two confirm it; only one knows how it is"
    assert judge(said(ending, SWITCHED, SWITCHED), REPLICA).lease_ms == MOST_MS
    assert judge(said(ending, VOTED, VOTED), MASTER).doubt == "the Sentinels name 10.0.0.2:6379"
    assert judge(said(FAILING_OVER, VOTED, VOTED), REPLICA).doubt == "a failover is under way"


def test_a_vote_that_led_to_nothing_is_forgotten_after_the_longest_failover() -> None:
    views = said(CALM, FORGIVING, FORGIVING)[1:]
    assert longest_failover_ms(views) == 370_000
    since = open_votes(views, {}, 1_000)
    assert since == {1: 1_000}
    assert given_up(views, since, 371_000) == set()
    assert judge(views, MASTER, given_up(views, since, 371_001)).doubt == ""
    later = [replace(view, voted=2) for view in views]
    assert judge(later, MASTER, given_up(later, open_votes(later, since, 371_001), 371_001)).doubt
    assert open_votes(said(CALM, replace(CALM, voted=3, epoch=3)), {}, 1_000) == {}


def test_a_vote_is_not_forgotten_later_because_another_sentinel_answers_meanwhile() -> None:
    early, late = replace(FORGIVING, sentinel="s2"), replace(FORGIVING, sentinel="s3", voted=2)
    since: dict[int, int] = {}
    for now in range(0, 371_000, 1_000):  # now the one does not answer, now the other
        since = open_votes([early if now % 2_000 else late], since, now)
    assert since == {2: 0, 1: 1_000}
    assert given_up([early], since, 371_000) == {2}, "the older one was heard of later"
    assert open_votes([replace(late, epoch=2)], since, 371_000) == {}


@given(st.lists(st.tuples(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 100_000))))
def test_a_vote_is_given_up_when_it_was_known_for_the_longest_failover(said_when: list[tuple[list[int], int]]) -> None:
    since: dict[int, int] = {}
    first: dict[int, int] = {}
    now = 0
    for votes, later in said_when:
        now += later
        views = said(*(replace(FORGIVING, voted=vote) for vote in votes))
        since = open_votes(views, since, now)
        first = dict.fromkeys(votes, now) | first
        assert given_up(views, since, now) == {vote for vote, at in first.items() if now - at > 370_000}


@pytest.mark.parametrize(
    ("heard", "quorum", "lease"),
    [
        ((100, 100, 100), 2, MOST_MS),
        ((4_500, 4_700, 4_800), 2, 300),  # two must fall silent: the first of them after 0.3 s
        ((100, 4_900, 4_900), 2, 100),
        ((100, 100, 4_900), 1, 100),  # one is enough
        ((100, 100), 1, 0),  # and it may be the one that does not answer
        ((100, 6_000, 6_000), 2, 0),
        ((100, 100), 3, MOST_MS),
    ],
)
def test_it_is_sure_for_as_long_as_no_quorum_can_call_it_down(heard: tuple[int, ...], quorum: int, lease: int) -> None:
    views = said(*(replace(CALM, heard_ms=each, quorum=quorum) for each in heard))
    assert judge(views, MASTER) == Verdict(lease_ms=lease)


def test_who_knows_of_the_last_failover_says_who_the_master_is() -> None:
    assert newest(said(CALM, SWITCHED, CALM)) == REPLICA


@given(st.data(), st.integers(1, 7))
def test_no_majority_confirms_the_old_master_of_a_failover(data: st.DataObject, known: int) -> None:
    """Whoever answers, whatever flags the voters have dropped again: nobody votes without its being seen."""
    voters = data.draw(st.sets(st.integers(1, known), min_size=known // 2 + 1), label="voters")
    leader = min(voters)
    everybody = {}
    for number in range(1, known + 1):
        view = replace(CALM, sentinel=f"s{number}", sentinels=known, quorum=data.draw(st.integers(1, known)))
        if number in voters:
            view = replace(view, voted=1, leader=f"s{leader}", flags=data.draw(st.sampled_from([CALM, VOTED])).flags)
        if number == leader:
            view = replace(view, flags=view.flags | {"failover_in_progress"})
        everybody[number] = view
    answering = data.draw(st.sets(st.sampled_from(sorted(everybody)), min_size=1))
    assert judge([everybody[number] for number in answering], MASTER).doubt


@given(st.data(), st.integers(1, 7))
def test_no_quorum_can_call_the_master_down_before_the_lease_is_over(data: st.DataObject, known: int) -> None:
    quorum = data.draw(st.integers(1, known))
    times = data.draw(st.lists(st.integers(0, 6_000), min_size=known, max_size=known), label="when each heard of it")
    views = [replace(CALM, sentinel=f"s{n}", sentinels=known, quorum=quorum, heard_ms=at) for n, at in enumerate(times)]
    answering = data.draw(st.lists(st.sampled_from(views), min_size=1, unique=True))
    lease = judge(answering, MASTER).lease_ms
    # Who was not asked may call it down at once; who was, when its time is over.
    down = sorted(max(0, view.down_after_ms - view.heard_ms) if view in answering else 0 for view in views)
    assert lease <= down[quorum - 1]
