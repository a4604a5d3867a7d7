"""What may begin: bounded, less under a standing delay alone, all again afterwards, never at the cost of dialogues."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.turns.admission import FLOOR, MOST_TARGET_S, TARGET_S, WINDOW_S, Admission, Backlog, Kind

BOUND = 4000
LENGTH = 0.125
"""Of a window, as the shell may make them: not below `WINDOW_S`, and without a rounding error."""

seconds = st.floats(0, 100, allow_nan=False)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("begun")),
        st.tuples(st.just("done"), seconds, seconds),
        st.tuples(st.just("tick"), st.floats(-10, 1000, allow_nan=False)),
    ),
    max_size=200,
)


def windows(
    admission: Admission, number: int, delay: float, *, turns: int, now: float = 0.0, age: float = 0.0
) -> float:
    """Let windows pass in each of which so many turns have this delay; returns the time after them."""
    admission.tick(now)
    for _ in range(number):
        for _ in range(turns):
            admission.begun()
        for _ in range(turns):
            admission.done(age, delay - age)
        now += LENGTH
        assert admission.tick(now)
    return now


def limited() -> tuple[Admission, float]:
    """Return one whose limit has fallen, and the time."""
    admission = Admission(BOUND)
    return admission, windows(admission, 3, 4 * TARGET_S, turns=100)


# Whatever happens -------------------------------------------------------------------------------------------------


@given(happenings, st.integers(1, 100_000))
def test_the_limit_stays_within_its_bounds(story: list[tuple[str, float, float]], bound: int) -> None:
    admission = Admission(bound)
    now = 0.0
    for what, *times in story:
        match what:
            case "begun":
                admission.begun()
            case "done" if admission.waiting:
                admission.done(*times)
            case "tick":
                now += times[0]  # also back: a window then simply lasts longer
                admission.tick(now)
        assert FLOOR <= admission.limit <= admission.most
        assert 0 <= admission.delay < inf
        assert TARGET_S <= admission.target <= MOST_TARGET_S


@given(happenings, st.integers(0, BOUND - 1))
def test_a_dialogue_under_way_is_never_refused_for_a_delay(
    story: list[tuple[str, float, float]], under_way: int
) -> None:
    admission = Admission(BOUND)
    for what, *times in story:
        if what == "begun":
            admission.begun()
        elif what == "tick":
            admission.tick(times[0])
        assert admission.admits(Kind.UNDER_WAY, under_way)
        assert admission.admits(Kind.ENDING, BOUND + under_way)


@given(st.integers(0, 3 * BOUND), st.integers(0, 3 * BOUND), st.booleans())
def test_what_is_less_important_is_refused_first(waiting: int, under_way: int, low: bool) -> None:
    admission = limited()[0] if low else Admission(BOUND)
    admission.waiting = waiting
    admitted = [admission.admits(kind, under_way) for kind in Kind]
    assert admitted == sorted(admitted, reverse=True)


@given(st.integers(0, 3 * BOUND), st.integers(0, 3 * BOUND), st.sampled_from(Kind))
def test_what_stands_in_line_counts_as_what_waits_for_its_commit(waiting: int, before: int, kind: Kind) -> None:
    one, other = limited()[0], limited()[0]
    one.waiting, other.waiting = waiting, waiting + before
    assert one.admits(kind, 0, before) == other.admits(kind, 0)


def test_one_turn_is_always_taken_however_little_memory_there_is() -> None:
    admission = Admission(1)
    assert [admission.admits(kind, 0) for kind in Kind] == [True] * 5
    assert [admission.admits(kind, 1) for kind in Kind] == [True] + [False] * 4


# Falling and rising -----------------------------------------------------------------------------------------------


def test_while_turns_are_quick_nothing_but_memory_limits() -> None:
    admission = Admission(BOUND)
    windows(admission, 50, TARGET_S / 3, turns=900)
    assert admission.limit == BOUND
    assert not admission.pressed


@given(st.floats(1.01, 100), st.integers(70, 400))
def test_under_a_standing_delay_the_limit_is_what_is_completed_in_the_time_allowed(times: float, turns: int) -> None:
    admission = Admission(BOUND)
    windows(admission, 3, times * TARGET_S, turns=turns)
    assert admission.limit == max(FLOOR, int(turns / LENGTH * TARGET_S))
    assert admission.pressed


def test_a_single_pause_of_the_disk_refuses_nothing() -> None:
    admission = Admission(BOUND)
    now = windows(admission, 5, 0.01, turns=500)
    now = windows(admission, 1, 3.0, turns=500, now=now)
    windows(admission, 1, 0.01, turns=500, now=now)
    assert admission.limit == BOUND


def test_one_turn_that_did_not_wait_tells_that_no_queue_stands() -> None:
    admission = Admission(BOUND)
    now = 0.0
    admission.tick(now)
    for _ in range(20):
        for delay in (5.0,) * 200 + (0.001,):
            admission.begun()
            admission.done(0.0, delay)
        now += LENGTH
        admission.tick(now)
    assert admission.limit == BOUND


def test_the_wait_before_a_turn_is_handled_counts_as_much_as_that_for_its_commit() -> None:
    admission = Admission(BOUND)
    windows(admission, 10, 0.5, turns=300, age=0.49)
    assert admission.limit < BOUND


def test_a_store_that_completes_nothing_is_noticed_while_it_does_so() -> None:
    admission = Admission(BOUND)
    now = windows(admission, 5, 0.01, turns=500)
    for _ in range(200):
        admission.begun()
    for _ in range(40):
        now += LENGTH
        admission.tick(now)
    assert admission.delay == 40 * LENGTH
    assert not admission.admits(Kind.DIALOGUE, 200)
    assert admission.admits(Kind.UNDER_WAY, 200)


@given(st.floats(0, TARGET_S / 2), st.integers(0, 5))
def test_after_the_peak_all_is_admitted_again_within_seconds(delay: float, turns: int) -> None:
    admission, now = limited()
    assert admission.limit < BOUND
    windows(admission, 60, delay, turns=turns, now=now)
    assert admission.limit == BOUND


def test_a_store_that_is_slow_by_itself_is_not_taken_for_an_overloaded_one() -> None:
    admission = Admission(BOUND)
    now = windows(admission, 60, 0.3, turns=20)  # 300 ms for a commit, at night
    windows(admission, 60, 0.35, turns=400, now=now)  # and hardly more by day
    assert admission.limit == BOUND


@pytest.mark.parametrize("own", [0.3, 0.6, 0.8])
def test_a_slow_store_that_has_much_to_do_at_once_is_learned_and_in_the_end_refuses_nothing(own: float) -> None:
    """It is busy from the first moment, so that its own time can be seen only when the limit is at its least."""
    admission, now = Admission(BOUND), 0.0
    for _ in range(600):
        turns = min(admission.limit, 400)
        now = windows(admission, 1, own, turns=turns, now=now)
    assert admission.limit > 400


def test_a_window_that_has_not_passed_is_not_judged() -> None:
    admission = Admission(BOUND)
    admission.tick(5.0)
    assert not admission.tick(5.0 + WINDOW_S / 2)
    assert not admission.tick(4.0)
    assert admission.tick(5.0 + LENGTH)


def test_what_was_refused_is_counted_by_its_kind() -> None:
    admission = Admission(BOUND)
    for kind in (Kind.SMS, Kind.DIALOGUE, Kind.DIALOGUE):
        admission.refuse(kind)
    assert admission.shed == {Kind.SMS: 1, Kind.DIALOGUE: 2}


# With a server around it ------------------------------------------------------------------------------------------


@dataclass
class Simulated:
    """A server of one core that reads what has come, plays some of it, and commits in groups; time is simulated.

    What is read and not admitted is refused at once, the rest waits in line; of that `TOGETHER` are played in a turn
    of the loop, and what they changed is written when the disk is done with the group before. Dialogues of `STEPS`
    steps come as a Poisson process; the next step follows the answer after a while of thinking. `stall` is how long
    each hundredth group takes on the disk.
    """

    admission: Admission
    random: Random
    stall: float = 0.0
    now: float = 0.0
    coming: list[tuple[float, int, int]] = field(default_factory=list)
    line: deque[tuple[float, float, int, int]] = field(default_factory=deque)
    played: deque[tuple[float, float, float, int, int]] = field(default_factory=deque)
    group: list[tuple[float, float, float, int, int]] = field(default_factory=list)
    flushed: float = 0.0
    groups: int = 0
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    served: int = 0
    refused: int = 0
    dialogues: int = 0

    STEPS = 6
    READ_S = 20e-6
    STEP_S = 140e-6
    SHED_S = 20e-6
    FLUSH_S = 0.004
    LOOP_S = 1e-4
    GROUP = 256
    TOGETHER = 64
    THINK_S = 0.5

    @classmethod
    def capacity(cls) -> float:
        """Return how many steps a second it can serve at most."""
        return 1 / (cls.READ_S + cls.STEP_S + cls.LOOP_S / cls.TOGETHER)

    def run(self, steps_a_second: float, until: float) -> None:
        """Offer so many steps a second until then."""
        rate = steps_a_second / self.STEPS
        next_begin = self.now + self.random.expovariate(rate)
        while self.now < until:
            while next_begin < self.now:
                self.dialogues += 1
                heapq.heappush(self.coming, (next_begin, self.dialogues, 1))
                next_begin += self.random.expovariate(rate)
            self._read()
            self._hand_in()
            self._commit()
            self.now += self.LOOP_S
            self.admission.tick(self.now)

    def _read(self) -> None:
        read_at = self.now
        while self.coming and self.coming[0][0] <= read_at:
            came, dialogue, step = heapq.heappop(self.coming)
            self.now += self.READ_S
            if self.admission.admits(Kind.UNDER_WAY if step > 1 else Kind.DIALOGUE, 0, len(self.line)):
                self.line.append((came, read_at, dialogue, step))
            else:
                assert step == 1, "a dialogue under way was refused"
                self._refuse(came)

    def _hand_in(self) -> None:
        for _ in range(min(self.TOGETHER, len(self.line))):
            came, read_at, dialogue, step = self.line.popleft()
            if step == 1 and not self.admission.admits(Kind.DIALOGUE, 0):
                self._refuse(came)
                continue
            begun = self.now
            self.now += self.STEP_S
            self.admission.begun()
            self.played.append((came, begun - read_at, begun, dialogue, step))

    def _refuse(self, came: float) -> None:
        self.now += self.SHED_S
        self.admission.refuse(Kind.DIALOGUE)
        self.refused += 1
        self.refusals.append(self.now - came)

    def _commit(self) -> None:
        if self.now < self.flushed:
            return
        for came, age, begun, dialogue, step in self.group:
            self.admission.done(age, self.now - begun)
            self.latencies.append(self.now - came)
            self.served += 1
            if step < self.STEPS:
                think = self.random.expovariate(1 / self.THINK_S)
                heapq.heappush(self.coming, (self.now + think, dialogue, step + 1))
        self.group = [self.played.popleft() for _ in range(min(self.GROUP, len(self.played)))]
        if self.group:
            self.groups += 1
            self.flushed = self.now + (self.FLUSH_S if self.groups % 100 else self.FLUSH_S + self.stall)


def within(latencies: list[float], part: float) -> float:
    """Return what this part of them stayed within."""
    return sorted(latencies)[int(len(latencies) * part)]


@pytest.mark.parametrize(("load", "stall"), [(1.2, 0.0), (1.2, 0.15), (2.0, 0.0), (5.0, 0.0)])
def test_beyond_capacity_what_is_admitted_stays_quick_and_no_capacity_is_wasted(load: float, stall: float) -> None:
    server = Simulated(Admission(BOUND), Random(1), stall)
    server.run(load * server.capacity(), until=10)
    server.latencies.clear()
    server.refusals.clear()
    served = server.served
    server.run(load * server.capacity(), until=15)
    assert within(server.latencies, 0.5) < 2 * TARGET_S
    assert within(server.latencies, 0.99) < 3 * TARGET_S
    assert within(server.refusals, 0.99) < 2 * TARGET_S
    wasted = (server.READ_S + server.SHED_S) * (load - 1) * server.capacity() / server.STEPS
    assert server.served - served > 0.85 * (1 - wasted) * server.capacity() * 5
    assert server.refused


def test_below_capacity_nothing_is_refused_and_after_a_peak_again() -> None:
    server = Simulated(Admission(BOUND), Random(2))
    server.run(0.8 * server.capacity(), until=8)
    assert server.refused == 0
    server.run(1.5 * server.capacity(), until=16)
    assert server.refused
    server.run(0.7 * server.capacity(), until=26)
    refused = server.refused
    server.run(0.7 * server.capacity(), until=30)
    assert server.refused == refused
    assert server.admission.limit == BOUND


# Screens that wait for the SMSC's window ----------------------------------------------------------------------------


def looks(backlog: Backlog, *seen: tuple[int, int], now: float = 0.0) -> float:
    """Look once a window at how many screens wait and how many have gone; returns the time after that."""
    for waiting, gone in seen:
        backlog.tick(now, waiting, gone)
        now += LENGTH
    return now


def test_screens_that_wait_for_a_moment_refuse_nothing() -> None:
    backlog = Backlog()
    looks(backlog, (0, 0), (500, 10), (500, 20), (0, 500), (0, 600))
    assert not backlog.stands


def test_screens_that_stand_in_line_refuse_new_dialogues_until_the_line_is_short() -> None:
    backlog = Backlog()
    now = looks(backlog, (100, 0), (100, 10), (100, 20), (100, 30))  # 80 a second
    assert backlog.delay == pytest.approx(1.25)
    assert (backlog.stands, backlog.full) == (True, False)
    now = looks(backlog, (30, 40), (30, 50), (30, 60), now=now)
    assert (backlog.stands, backlog.delay) == (True, pytest.approx(0.375))
    looks(backlog, (10, 70), (10, 80), (10, 90), now=now)
    assert not backlog.stands


def test_an_smsc_that_takes_nothing_is_full_in_the_end() -> None:
    backlog = Backlog()
    looks(backlog, *[(5, 7)] * 30)
    assert (backlog.stands, backlog.full) == (True, True)


def test_without_screens_nothing_stands_whether_or_not_anything_goes() -> None:
    backlog = Backlog()
    now = looks(backlog, *[(500, 7)] * 30)
    looks(backlog, (0, 7), (0, 7), (0, 7), now=now)
    assert (backlog.stands, backlog.full, backlog.delay) == (False, False, 0.0)


@given(st.lists(st.tuples(st.floats(-1, 100), st.integers(0, 10_000), st.integers(0, 2**31))))
def test_whatever_is_seen_a_full_line_is_one_that_stands(seen: list[tuple[float, int, int]]) -> None:
    backlog = Backlog()
    now = 0.0
    for passed, waiting, gone in seen:  # `gone` begins anew with each connection, and after 2^31
        now += passed
        backlog.tick(now, waiting, gone)
        assert 0 <= backlog.delay < inf
        assert backlog.stands or not backlog.full
