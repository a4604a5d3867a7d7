"""A push is shown once to who may be called on now, and however it ends, the journal and the metrics say how."""

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.ussd import PushOutcome
from ussd_server.outbox.pushes import Manners
from ussd_server.stores.base import Change, Unsure
from ussd_server.turns import pushes
from ussd_server.turns.pushes import BUSY_MS, READING_MS, PushOrder
from ussd_server.turns.quiet import MINUTE_MS, QuietHours

TEN_MIN = 10 * MINUTE_MS
TIMER_MS = Manners().timer_ms
MOSCOW = ZoneInfo("Europe/Moscow")


async def queue(at: Bench, text: str = "", screen: str = "", id: str = "p1", **order: object) -> bool:
    """Queue a push as the command line does, a service's unless told otherwise."""
    usual = {"until": at.now + TEN_MIN, "category": "service"}
    wanted = PushOrder(text=text, screen=screen, **(usual | order))  # type: ignore[arg-type]
    record, version = await at.store.load(MSISDN)
    queued = pushes.queue(record, wanted, id, at.now, at.now)
    if queued is None:
        return False
    assert await at.store.commit(Change(version, record, outbox=queued.outbox, journal=queued.journal))
    at.outbox.wake()
    return True


async def consent(at: Bench, wants: bool) -> None:
    record, version = await at.store.load(MSISDN)
    changed, note = pushes.with_consent(record, wants, "test", at.now)
    assert await at.store.commit(Change(version, changed, journal=[note]))


async def shown(at: Bench, amount: int = 1) -> None:
    """Wait until so many pushes are with the phone."""
    await at.until(lambda: len(at.network.pushed) >= amount)
    await at.until(lambda: at.outbox.under_way == 0)


async def waits(at: Bench, amount: int = 1) -> None:
    """Wait until a push was put off so many times."""
    await at.until(lambda: at.metrics.outbox["push", "later"] >= amount and at.outbox.under_way == 0)


async def ended(at: Bench, kind: str, result: str) -> None:
    """Wait until a push has ended so, with nothing left of it."""
    await at.until(lambda: at.metrics.pushes[kind, result] == 1)
    assert sum(at.metrics.pushes.values()) == 1
    (note,) = await at.store.journal(MSISDN, "push ended")
    assert (note.data["push"], note.data["kind"], note.data["result"]) == ("p1", kind, result)
    assert await at.store.next_due() is None
    assert (await at.store.load(MSISDN))[0].push is None


async def confirm(at: Bench, **changed: object) -> None:
    assert (await at.take(at.input("confirm", "", **changed))).text is None  # type: ignore[arg-type]


async def pass_time(at: Bench, ms: int) -> None:
    at.now += ms
    at.outbox.wake()


# A notification ---------------------------------------------------------------------------------------------------


def test_a_notification_that_the_phone_confirms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert await queue(at, "Hello.")
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Hello.", True)]
        assert at.metrics.pushes == {}
        await confirm(at, dialogue="a/77")
        await ended(at, "notify", "confirmed")
        await confirm(at, dialogue="a/77")  # delivered again: nothing more comes of it
        assert await at.journal() == ["single push queued", "push ended"]

    play(tmp_path, story)


def test_a_confirmation_may_come_before_the_response(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.on_push = lambda: confirm(at)
        await queue(at, "Hello.")
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_a_notification_that_nobody_confirms_is_left_at_the_timer(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await pass_time(at, TIMER_MS)
        await ended(at, "notify", "unconfirmed")
        assert len(at.network.pushed) == 1
        await confirm(at)
        await ended(at, "notify", "unconfirmed")

    play(tmp_path, story)


def test_a_notification_whose_dialogue_the_network_ends(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await at.take(at.input("drop", "abort", dialogue="a/77"))
        await ended(at, "notify", "aborted")

    play(tmp_path, story)


def test_a_confirmation_by_another_account_is_not_of_this_push(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "Hello.")
        await shown(at)
        await confirm(at, account="b", dialogue="b/1")
        assert at.metrics.pushes == {}
        await confirm(at)
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_a_screen_that_closes_is_a_notification(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="money", kind="notify")
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Balance 500 RUB", True)]
        assert "ussd" not in (await at.store.load(MSISDN))[0].sessions

    play(tmp_path, story)


# A question -------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_question_goes_on_as_if_the_subscriber_had_dialled(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers", kind="ask")
        await shown(at)
        ((_, text, ends),) = at.network.pushed
        assert (text.splitlines()[:2], ends) == (["Menu", "1. Tariffs"], False)
        at.dialogue = 200  # the gateway's number for it, which its first message brings
        assert "Quiet" not in (await at.reply("4")).text  # type: ignore[operator]
        await ended(at, "ask", "answered")
        assert at.metrics.turns["ussd", "answered"] == 1

    play(tmp_path, story)


def test_an_answered_question_is_walked_on_to_an_order(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        at.dialogue = 200
        await at.reply("1")
        await at.reply("2")
        assert (await at.reply("1")).text == "Accepted."
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert "order ended" in await at.journal()

    play(tmp_path, story)


def test_an_answer_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        again = at.input("reply", "1", dialogue="a/200", sequence=5)
        first = await at.take(again)
        assert await at.take(again) == first
        assert at.metrics.turns["ussd", "repeated"] == 1
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_an_answer_is_counted_where_its_commit_was_found_only_afterwards(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        commit = at.store.commit

        async def unsure(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            assert await commit(change)
            raise Unsure("the connection broke")

        at.store.commit = unsure  # type: ignore[method-assign]
        assert (await at.reply("1", dialogue="a/200")).durable
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_repetition_of_what_was_said_before_the_question_is_no_answer_to_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        last = at.input("reply", "4", sequence=500)
        balance = await at.take(last)
        at.now += READING_MS
        await queue(at, screen="offers")
        await shown(at)
        assert await at.take(last) == balance
        assert at.metrics.pushes == {}
        await at.take(at.input("reply", "1", dialogue="a/200"))
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_question_that_nobody_answers_is_left_at_the_timer_and_what_comes_later_is_late(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await pass_time(at, TIMER_MS)
        await ended(at, "ask", "unanswered")
        at.dialogue = 200
        said = await at.reply("1", sequence=9)
        assert said.text == "This session is over. Please start again."
        assert at.metrics.pushes["ask", "late"] == 1
        assert await at.reply("1", sequence=9, dialogue="a/200") == said
        assert await at.journal() == ["single push queued", "push ended", "push answered late"]
        assert at.metrics.pushes["ask", "late"] == 1
        assert "Tariffs" in (await at.dial("*111#")).text  # type: ignore[operator]

    play(tmp_path, story)


def test_a_question_that_is_cancelled(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await at.take(at.input("drop", "abort", dialogue="a/200"))
        await ended(at, "ask", "aborted")

    play(tmp_path, story)


def test_a_gateway_that_closes_a_question_with_a_confirmation(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await confirm(at, dialogue="a/200")
        await ended(at, "ask", "aborted")

    play(tmp_path, story)


def test_who_dials_instead_of_answering_has_left_the_question(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        await ended(at, "ask", "left")

    play(tmp_path, story)


@pytest.mark.parametrize("days", [0, 3])
def test_who_dials_after_the_entry_of_a_question_was_given_up_as_damaged_is_served(tmp_path: Path, days: int) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen="offers")
        await shown(at)
        await at.lose("p1", "push")
        assert (await at.store.load(MSISDN))[0].push is not None
        at.now += days * 24 * 60 * MINUTE_MS
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        assert at.metrics.turns["ussd", "conflict"] == 0
        await ended(at, "ask", "left")

    play(tmp_path, story)


@pytest.mark.parametrize(("screen", "kind"), [("offers", "ask"), ("money", "notify")])
def test_who_is_heard_of_after_the_entry_of_a_push_was_given_up_ends_it_all_the_same(
    tmp_path: Path, screen: str, kind: str
) -> None:
    async def story(at: Bench) -> None:
        await queue(at, screen=screen)
        await shown(at)
        await at.lose("p1", "push")
        await at.take(at.input("drop", "abort", dialogue="a/200"))
        await ended(at, kind, "aborted")
        await queue(at, "Hello.", id="p2")
        await shown(at, 2)

    play(tmp_path, story)


# Not now ----------------------------------------------------------------------------------------------------------


def test_who_is_in_a_dialogue_is_not_disturbed(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await queue(at, "Hello.")
        await waits(at)
        assert at.network.pushed == []
        assert (await at.reply("4")).text == "Balance 500 RUB"
        await pass_time(at, BUSY_MS)  # in which they have read it, too
        await shown(at)
        await confirm(at, dialogue="a/200")
        await ended(at, "notify", "confirmed")

    play(tmp_path, story)


def test_quiet_hours_are_waited_out(tmp_path: Path) -> None:
    def quiet() -> QuietHours:
        return QuietHours.parse("21:00-09:00", MOSCOW)

    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Good morning.", until=at.now + 11 * 60 * MINUTE_MS)
        await waits(at)
        await pass_time(at, 10 * 60 * MINUTE_MS - 1)
        assert await at.store.next_due() == at.now + 1
        assert at.network.pushed == []
        await pass_time(at, 1)
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Good morning.", True)]

    play(tmp_path, story, manners=Manners(quiet))


def test_quiet_hours_outlast_a_push_that_is_worth_nothing_after_them(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Good night.")
        await waits(at)
        await pass_time(at, TEN_MIN)
        await ended(at, "", "expired")
        (note,) = await at.store.journal(MSISDN, "push ended")
        assert note.data["reason"] == "quiet hours"
        assert at.network.pushed == []

    play(tmp_path, story, manners=Manners(lambda: QuietHours.parse("21:00-09:00", MOSCOW)))


def test_what_is_urgent_does_not_wait_for_the_morning(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.now = int(datetime(2027, 1, 15, 23, 0, tzinfo=MOSCOW).timestamp()) * 1000
        await queue(at, "Your line is blocked.", urgent=True)
        await shown(at)

    play(tmp_path, story, manners=Manners(lambda: QuietHours.parse("21:00-09:00", MOSCOW)))


def test_without_a_bound_link_it_waits_and_expires(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.bound = False
        await queue(at, "Hello.")
        await waits(at)
        await pass_time(at, TEN_MIN)
        await ended(at, "", "expired")

    play(tmp_path, story)


def test_offers_need_consent_when_they_are_queued_and_when_they_are_sent(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert not await queue(at, "Buy!", category="offer")
        assert await at.journal() == []
        await consent(at, True)
        at.network.bound = False
        assert await queue(at, "Buy!", category="offer")
        await waits(at)
        await consent(at, False)
        at.network.bound = True
        await pass_time(at, 5_000)
        await ended(at, "", "no_consent")
        assert at.network.pushed == []

    play(tmp_path, story)


def test_a_question_whose_answers_the_operator_does_not_have_now_is_put_off(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.operator.outage = "refuses"
        await queue(at, screen="money")
        await waits(at)
        assert at.network.pushed == []
        at.operator.outage = ""
        await pass_time(at, MINUTE_MS)
        await shown(at)

    play(tmp_path, story)


# What the gateway says --------------------------------------------------------------------------------------------


def test_a_push_that_the_gateway_refuses_for_good(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("refused", "ESME_RINVDSTADR")
        await queue(at, screen="offers")
        await ended(at, "ask", "refused")
        (note,) = await at.store.journal(MSISDN, "push ended")
        assert note.data["reason"] == "ESME_RINVDSTADR"
        record, _ = await at.store.load(MSISDN)
        assert (record.sessions, record.exchanges) == ({}, {})

    play(tmp_path, story)


def test_a_dialogue_that_was_cut_off_can_be_resumed_after_a_notification_and_a_refused_question(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        tariffs = await at.reply("1")
        await at.take(at.input("drop", "abort"))
        await queue(at, screen="money")
        await shown(at)
        await confirm(at)
        at.network.push_outcome = PushOutcome("refused", "ESME_RINVDSTADR")
        await queue(at, screen="offers", id="p2")
        await at.until(lambda: at.metrics.pushes["ask", "refused"] == 1)
        assert await at.dial("*111#") == tariffs

    play(tmp_path, story)


@pytest.mark.parametrize("result", ["later", "unknown"])
def test_a_push_that_the_gateway_does_not_take_now_is_sent_again(tmp_path: Path, result: str) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome(result, "why")  # type: ignore[arg-type]
        await queue(at, screen="offers")
        await shown(at)
        record, _ = await at.store.load(MSISDN)
        assert (record.push is None) == (result == "later")
        at.network.push_outcome = PushOutcome("accepted")
        await pass_time(at, MINUTE_MS)
        await shown(at, 2)
        at.dialogue = 200
        await at.reply("1")
        await ended(at, "ask", "answered")

    play(tmp_path, story)


def test_a_push_whose_response_was_lost_may_be_answered_all_the_same(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("unknown", "the link was lost")
        await queue(at, screen="offers")
        await shown(at)
        at.dialogue = 200
        await at.reply("1")
        await ended(at, "ask", "answered")
        await pass_time(at, TEN_MIN)
        assert len(at.network.pushed) == 1

    play(tmp_path, story)


def test_who_dials_before_a_push_was_taken_is_called_on_later(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.push_outcome = PushOutcome("unknown", "the link was lost")
        await queue(at, screen="offers")
        await shown(at)
        at.network.push_outcome = PushOutcome("accepted")
        assert (await at.dial("*100#")).text == "Balance 500 RUB"
        assert at.metrics.pushes == {}
        await pass_time(at, MINUTE_MS)
        await shown(at, 2)
        await at.reply("1", dialogue="a/200")
        await ended(at, "ask", "answered")

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("order", "kind", "result"),
    [
        ({"screen": "gone"}, "", "no_such_screen"),
        ({"screen": "offers", "kind": "notify"}, "notify", "wrong_kind"),
        ({"screen": "money", "kind": "ask"}, "ask", "wrong_kind"),
        ({"text": "x" * 183}, "", "too_long"),
    ],
)
def test_what_can_never_be_shown_ends_at_once(tmp_path: Path, order: dict[str, object], kind: str, result: str) -> None:
    async def story(at: Bench) -> None:
        await queue(at, **order)  # type: ignore[arg-type]
        await ended(at, kind, result)
        assert at.network.pushed == []

    play(tmp_path, story)


def test_pushes_of_one_subscriber_come_one_after_the_other(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await queue(at, "One.")
        await queue(at, "Two.", id="p2")
        await shown(at)
        assert [text for _, text, _ in at.network.pushed] == ["One."]
        await confirm(at)
        at.outbox.wake()
        await shown(at, 2)
        await confirm(at)
        assert at.metrics.pushes == {("notify", "confirmed"): 2}

    play(tmp_path, story)


# By a flow --------------------------------------------------------------------------------------------------------


def test_a_flow_queues_a_push_for_later(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.dial("*111*9#")).text == "We will call."
        assert await at.store.next_due() == at.now + 2 * MINUTE_MS
        await pass_time(at, 2 * MINUTE_MS)
        await shown(at)
        assert at.network.pushed == [(MSISDN, "Welcome.", True)]
        await confirm(at)
        assert await at.journal() == ["single push queued", "push ended"]
        (note,) = await at.store.journal(MSISDN, "single push queued")
        assert (note.data["screen"], note.data["category"]) == ("welcome", "service")

    play(tmp_path, story)


def test_consent_is_given_and_taken_back_in_a_menu(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        assert (await at.dial("*111*8#")).text == "Offers will come."
        assert (await at.store.load(MSISDN))[0].offers_at == at.now
        assert (await at.dial("*111*8#")).text == "No offers."
        assert (await at.store.load(MSISDN))[0].offers_at == 0
        assert await at.journal() == ["offers accepted", "offers refused"]

    play(tmp_path, story)


# Pace, and other servers ------------------------------------------------------------------------------------------


def test_pushes_keep_their_rate(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        loop = asyncio.get_running_loop()
        when: list[float] = []

        async def note() -> None:
            when.append(loop.time())

        at.network.on_push = note
        for number in range(3):
            record, version = await at.store.load(f"7910000001{number}")
            order = PushOrder(until=at.now + TEN_MIN, text="Hello.", category="service")
            queued = pushes.queue(record, order, f"n{number}", at.now, at.now)
            assert queued is not None
            assert await at.store.commit(Change(version, record, outbox=queued.outbox))
        begun = loop.time()
        at.outbox.wake()
        await shown(at, 3)
        # Never sooner than agreed; how much later is the machine's affair.
        assert max(when) - begun >= 2 / 50 - 0.005

    play(tmp_path, story, manners=Manners(rate=50))


def test_what_an_entry_says_comes_back_as_it_was() -> None:
    order = PushOrder(until=5, kind="ask", screen="offers", urgent=True, campaign="spring")
    stored = pushes.entry(order, "id", 1)
    assert msgspec.json.decode(msgspec.json.encode(stored.data)) == stored.data
    assert pushes.read(stored) == order
