"""SMS go in the order in which they came, also those that were throttled; none is lost and none is doubled."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ussd_server.channels.lineup import HELD_S, Lineup, Waiting
from ussd_server.channels.pace import Pace

ROOM = 3


class Numbered(Waiting):
    """A message that its test knows by what it says."""

    says: int


def test_what_was_throttled_goes_again_before_what_came_after_it() -> None:
    pace = Pace(None)
    lineup = Lineup[Numbered](pace)
    for number in range(4):
        lineup.put(Numbered(number))
    _, second, third = lineup.take(7.0, ROOM)
    assert lineup.take(7.0, ROOM) == [], "there is room for three"
    lineup.accepted(7.0)
    for message in (third, second):
        pace.throttled(7.0)
        assert lineup.throttled(message, 7.0)
    assert lineup.take(7.0, ROOM) == []
    assert lineup.wait(7.0, ROOM) == 1
    order = []
    now = 8.0
    while taken := lineup.take(now, 99):
        order += [message.says for message in taken]
        now += lineup.wait(now, 99) or 0
    assert order == [1, 2, 3]
    assert len(lineup) == 3


def test_what_is_throttled_for_too_long_is_out() -> None:
    lineup = Lineup[Numbered](Pace(None))
    lineup.put(Numbered(1))
    now = 7.0
    for _ in range(3):
        (message,) = lineup.take(now, ROOM)
        assert lineup.throttled(message, now) is (now < 7.0 + HELD_S)
        now += HELD_S / 2
    assert len(lineup) == 0


class AnyOrder(RuleBasedStateMachine):
    """One who sends, and an operator that answers what is under way in any order, as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pace = Pace(20)
        self.lineup = Lineup[Numbered](self.pace)
        self.put = 0
        self.flying: list[Numbered] = []
        self.ended: list[int] = []

    @rule(amount=st.integers(1, 5))
    def come(self, amount: int) -> None:
        for _ in range(amount):
            self.put += 1
            self.lineup.put(Numbered(self.put))

    @rule()
    def send(self) -> None:
        for message in self.lineup.take(self.now, ROOM):
            here = {one.says for one in self.flying} | set(self.ended)
            assert message.says == min(set(range(1, self.put + 1)) - here), "the oldest goes first"
            self.flying.append(message)

    @rule(which=st.integers(0, ROOM), how=st.sampled_from(["accepted", "ended", "throttled"]))
    def answer(self, which: int, how: str) -> None:
        if which >= len(self.flying):
            return
        message = self.flying.pop(which)
        if how == "throttled":
            self.pace.throttled(self.now)
            if self.lineup.throttled(message, self.now):
                return
        elif how == "accepted":
            self.lineup.accepted(self.now)
        else:
            self.lineup.ended()
        self.ended.append(message.says)

    @rule(back=st.integers(0, 5))
    def withdraw(self, back: int) -> None:
        """Whoever put it waits no more; one that is under way goes on."""
        for message in self.lineup._line[-back - 1 :][:1]:
            self.lineup.withdraw(message)
            self.lineup.withdraw(message)
            self.ended.append(message.says)

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
        left = [message.says for message in self.lineup.clear()]
        assert left == sorted(left)
        everything = [*left, *self.ended, *(one.says for one in self.flying)]
        assert sorted(everything) == list(range(1, self.put + 1))


TestAnyOrder = AnyOrder.TestCase
