"""SMS go in the order in which they came, also those that were throttled; none is lost and none is doubled."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ussd_server.channels.lineup import HELD_S, Lineup, Waiting
from ussd_server.channels.pace import Pace

ROOM = 3


def test_what_was_throttled_goes_again_before_what_came_after_it() -> None:
    pace = Pace(None)
    lineup = Lineup[str](pace)
    for message in "abcd":
        lineup.put(message)
    first, second, third = (lineup.take(7.0, ROOM) for _ in range(3))
    assert lineup.take(7.0, ROOM) is None, "there is room for three"
    lineup.accepted(7.0)
    for waiting in (third, second):
        assert waiting is not None
        pace.throttled(7.0)
        assert lineup.throttled(waiting, 7.0)
    assert first is not None
    assert lineup.take(7.0, ROOM) is None
    assert lineup.wait(7.0, ROOM) == 1
    order = []
    now = 8.0
    while (waiting := lineup.take(now, 99)) is not None:
        order.append(waiting.message)
        now += lineup.wait(now, 99) or 0
    assert order == ["b", "c", "d"]
    assert len(lineup) == 3


def test_what_is_throttled_for_too_long_is_out() -> None:
    lineup = Lineup[str](Pace(None))
    lineup.put("a")
    now = 7.0
    for _ in range(3):
        waiting = lineup.take(now, ROOM)
        assert waiting is not None
        assert lineup.throttled(waiting, now) is (now < 7.0 + HELD_S)
        now += HELD_S / 2
    assert len(lineup) == 0


class AnyOrder(RuleBasedStateMachine):
    """One who sends, and an operator that answers what is under way in any order, as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pace = Pace(20)
        self.lineup = Lineup[int](self.pace)
        self.put = 0
        self.flying: list[Waiting[int]] = []
        self.ended: list[int] = []

    @rule(amount=st.integers(1, 5))
    def come(self, amount: int) -> None:
        for _ in range(amount):
            self.put += 1
            self.lineup.put(self.put)

    @rule()
    def send(self) -> None:
        waiting = self.lineup.take(self.now, ROOM)
        if waiting is not None:
            here = {one.message for one in self.flying} | set(self.ended)
            assert waiting.message == min(set(range(1, self.put + 1)) - here), "the oldest goes first"
            self.flying.append(waiting)

    @rule(which=st.integers(0, ROOM), how=st.sampled_from(["accepted", "ended", "throttled"]))
    def answer(self, which: int, how: str) -> None:
        if which >= len(self.flying):
            return
        waiting = self.flying.pop(which)
        if how == "throttled":
            self.pace.throttled(self.now)
            if self.lineup.throttled(waiting, self.now):
                return
        elif how == "accepted":
            self.lineup.accepted(self.now)
        else:
            self.lineup.ended()
        self.ended.append(waiting.message)

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def all_are_somewhere_and_the_wait_ends(self) -> None:
        assert len(self.lineup) == self.put - len(self.ended)
        assert len(self.flying) <= ROOM
        wait = self.lineup.wait(self.now, ROOM)
        waits = self.put - len(self.ended) > len(self.flying)
        assert (wait is None) is (not waits or len(self.flying) == ROOM)

    def teardown(self) -> None:
        left = self.lineup.clear()
        assert left == sorted(left)
        everything = [*left, *self.ended, *(one.message for one in self.flying)]
        assert sorted(everything) == list(range(1, self.put + 1))


TestAnyOrder = AnyOrder.TestCase
