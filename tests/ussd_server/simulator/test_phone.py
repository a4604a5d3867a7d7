"""A handset has at most one dialogue, counted, timed and spoken in turns; and it keeps messages."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.simulator.phone import INBOX, UNFINISHED, Part, Phone, Timers, Usage, Utterance, together

NOW = 1_000_000
TIMERS = Timers(service_ms=15_000, subscriber_ms=60_000)
USAGE = Usage("UCS-2", 10, 80)


def phone() -> Phone:
    return Phone("79100000001", TIMERS)


def asked(text: str = "menu") -> Phone:
    """A phone on which the service's first screen is shown."""
    handset = phone()
    handset.dial("*111#", 7, NOW)
    assert handset.show(7, text, False, USAGE, NOW + 1)
    return handset


def test_dialling_begins_a_dialogue_and_starts_the_timer_for_the_service() -> None:
    handset = phone()
    assert handset.dial("*111#", 7, NOW) == (Utterance("begin", 7, 0, "*111#"),)
    assert handset.dialogue is not None
    assert handset.dialogue.turn == "service"
    assert handset.timer() == NOW + 15_000


def test_a_screen_gives_the_turn_and_the_longer_timer_to_the_subscriber() -> None:
    handset = asked("menu")
    assert handset.dialogue is not None
    assert (handset.dialogue.turn, handset.dialogue.screen, handset.dialogue.usage) == ("subscriber", "menu", USAGE)
    assert handset.timer() == NOW + 1 + 60_000


def test_an_answer_counts_the_step_up_and_gives_the_turn_back() -> None:
    handset = asked()
    assert handset.answer("1", NOW + 5) == (Utterance("answer", 7, 1, "1"),)
    assert handset.answer("again", NOW + 6) == ()
    assert handset.timer() == NOW + 5 + 15_000


@given(st.integers(0, 300))
def test_steps_stay_within_seven_bits(turns: int) -> None:
    handset = asked()
    for _ in range(turns):
        handset.answer("1", NOW)
        assert handset.show(7, "menu", False, USAGE, NOW)
    assert handset.answer("1", NOW) == (Utterance("answer", 7, (turns + 1) % 128, "1"),)


def test_a_last_screen_stays_until_it_is_put_away() -> None:
    handset = asked()
    handset.answer("0", NOW)
    assert handset.show(7, "bye", True, USAGE, NOW)
    assert handset.dialogue is not None
    assert (handset.dialogue.turn, handset.dialogue.reason, handset.dialogue.screen) == ("over", "ended", "bye")
    assert handset.timer() is None
    handset.dismiss()
    assert handset.dialogue is None


def test_a_screen_for_another_dialogue_or_out_of_turn_is_not_shown() -> None:
    handset = asked("menu")
    assert not handset.show(8, "other", False, USAGE, NOW)
    assert not handset.show(7, "second", False, USAGE, NOW)
    assert not handset.show(7, "menu", True, USAGE, NOW)
    assert not phone().show(7, "menu", False, USAGE, NOW)


def test_the_same_screen_may_come_again_and_does_not_wind_the_timer() -> None:
    handset = asked("menu")
    assert handset.show(7, "menu", False, USAGE, NOW + 500)
    assert handset.timer() == NOW + 1 + 60_000


def test_dialling_gives_up_the_dialogue_that_was_open() -> None:
    handset = asked()
    assert handset.dial("*100#", 8, NOW) == (
        Utterance("abort", 7, 1, "", "cancel"),
        Utterance("begin", 8, 0, "*100#"),
    )


def test_the_last_text_of_a_dialogue_is_confirmed_where_it_was_a_notification() -> None:
    handset = phone()
    assert handset.push(9, "111", "Yes or no?", False, USAGE, NOW) == ()
    assert handset.confirm(9) == ()
    handset.answer("yes", NOW)
    assert handset.show(9, "Thank you", True, USAGE, NOW)
    assert handset.confirm(8) == ()
    assert handset.confirm(9) == (Utterance("confirm", 9, 2, ""),)


def test_a_service_may_close_its_dialogue_without_a_word() -> None:
    handset = asked("menu")
    assert not handset.close(8)
    assert handset.close(7)
    assert not handset.is_open()
    assert not handset.close(7)


def test_the_timer_ends_the_dialogue_not_a_moment_early() -> None:
    handset = asked()
    until = handset.timer()
    assert until is not None
    assert handset.expire(until - 1) == ()
    assert handset.expire(until) == (Utterance("abort", 7, 1, "", "timeout"),)
    assert handset.dialogue is not None
    assert handset.dialogue.reason == "timeout"
    assert handset.expire(until) == ()


def test_cancel_and_drop_tell_the_service_and_failing_does_not() -> None:
    for act, reason in ((Phone.cancel, "cancelled"), (Phone.drop, "dropped")):
        handset = asked()
        assert [utterance.kind for utterance in act(handset)] == ["abort"]
        assert handset.dialogue is not None
        assert handset.dialogue.reason == reason
        assert act(handset) == ()
    handset = asked()
    handset.fail("lost")
    assert not handset.is_open()
    handset.fail("refused")
    assert handset.dialogue is not None
    assert handset.dialogue.reason == "lost"


def test_a_pushed_question_waits_for_the_subscriber_as_any_screen() -> None:
    handset = phone()
    assert handset.push(9, "111", "menu", False, USAGE, NOW) == ()
    assert handset.dialogue is not None
    assert (handset.dialogue.turn, handset.dialogue.screen, handset.dialogue.source) == ("subscriber", "menu", "111")
    assert handset.timer() == NOW + 60_000
    assert handset.answer("1", NOW) == (Utterance("answer", 9, 1, "1"),)
    assert handset.show(9, "next", True, USAGE, NOW)


def test_a_pushed_notification_is_confirmed_and_stays_until_it_is_put_away() -> None:
    handset = phone()
    assert handset.push(9, "111", "hello", True, USAGE, NOW) == (Utterance("confirm", 9, 0, ""),)
    assert handset.dialogue is not None
    assert (handset.dialogue.turn, handset.dialogue.reason, handset.dialogue.screen) == ("over", "notified", "hello")
    assert handset.timer() is None
    handset.dismiss()
    assert handset.dialogue is None


def test_nothing_is_pushed_into_a_dialogue_and_a_late_answer_is_no_push() -> None:
    handset = asked()
    assert handset.push(9, "111", "hello", True, USAGE, NOW) is None
    handset.answer("1", NOW)
    handset.cancel()
    assert handset.push(7, "111", "an answer too late", False, USAGE, NOW) is None
    assert handset.push(9, "111", "hello", True, USAGE, NOW) is not None


@given(st.permutations(range(1, 5)))
def test_parts_of_a_long_message_are_joined_in_whatever_order_they_come(order: list[int]) -> None:
    handset = phone()
    text = "abcd"
    for index in order[:-1]:
        assert handset.receive(Part("111", text[index - 1], 9, 4, index, USAGE), NOW) is None
    whole = handset.receive(Part("111", text[order[-1] - 1], 9, 4, order[-1], USAGE), NOW)
    assert whole is not None
    assert (whole.text, whole.usage) == ("abcd", Usage("UCS-2", 40, 320, 4))
    assert handset.view().messages == (whole,)


def test_a_part_that_comes_twice_counts_once() -> None:
    handset = phone()
    assert handset.receive(Part("111", "a", 9, 2, 1), NOW) is None
    assert handset.receive(Part("111", "a", 9, 2, 1), NOW) is None
    assert handset.receive(Part("111", "b", 9, 2, 2), NOW) is not None


def test_memory_is_bounded() -> None:
    handset = phone()
    for number in range(INBOX + 10):
        handset.receive(Part("111", str(number)), NOW)
    assert len(handset.view().messages) == INBOX
    for number in range(UNFINISHED + 1):
        assert handset.receive(Part("111", "x", number, 2, 1), NOW) is None
    assert handset.receive(Part("111", "y", 0, 2, 2), NOW) is None
    assert handset.receive(Part("111", "y", UNFINISHED, 2, 2), NOW) is not None


def test_a_written_message_is_marked_and_forgotten() -> None:
    handset = phone()
    message = handset.write("2163", "111", USAGE, NOW)
    handset.mark(message.id, "sent")
    assert [(m.text, m.outgoing, m.delivery) for m in handset.view().messages] == [("111", True, "sent")]
    handset.forget()
    handset.mark(message.id, "refused")
    assert handset.view().messages == ()


def test_a_view_does_not_change_with_the_phone() -> None:
    handset = asked("menu")
    before = handset.view()
    handset.answer("1", NOW)
    assert before.dialogue is not None
    assert before.dialogue.turn == "subscriber"


def test_nothing_adds_up_to_nothing() -> None:
    assert together([]) is None
