"""What was given up can be tried again without doing anything twice, or thrown away, and the journal keeps which."""

from pathlib import Path

from msgspec.structs import replace

from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.sms import SendOutcome
from ussd_server.outbox import dead_letters
from ussd_server.outbox.worker import Outbox
from ussd_server.stores.base import Change, DeadLetter, JournalEntry, OutboxEntry
from ussd_server.subscribers.codes import Access
from ussd_server.subscribers.record import Subscriber

NOW = 1_800_000_000_000
HOUR = 3_600_000
WHY = {"by": "support desk", "reason": "the SMSC is back"}


def letter(kind: str = "sms", expires: int = 0, **data: str) -> DeadLetter:
    return DeadLetter(MSISDN, "a", kind, data, expires, NOW - 1000, 7, "refused")  # type: ignore[arg-type]


def again(dead: DeadLetter, expires: int) -> OutboxEntry:
    return OutboxEntry("a", dead.kind, NOW, dead.data, expires, tried=7)


def test_it_is_due_now_under_its_old_id_and_the_journal_says_why() -> None:
    record, dead = Subscriber(MSISDN), letter(text="x", expires=NOW + 1)
    note = JournalEntry(NOW, "taken back", {"id": "a", "kind": "sms", **WHY})
    assert dead_letters.retry(dead, record, 3, NOW, HOUR, WHY) == Change(
        3, record, (note,), (again(dead, NOW + 1),), exhumed=("a",)
    )


def test_an_sms_whose_time_is_over_gets_a_new_one_and_other_work_has_as_much_as_before() -> None:
    for dead, expires in (
        (letter(expires=NOW + 1), NOW + 1),
        (letter(expires=NOW), NOW + HOUR),
        (letter(), NOW + HOUR),  # an older program did not keep it
        (letter("command"), 0),
        (letter("push", expires=NOW - 5), NOW + HOUR),
    ):
        assert dead_letters.retry(dead, Subscriber(MSISDN), 3, NOW, HOUR, WHY).outbox == (again(dead, expires),)


def test_what_is_thrown_away_leaves_a_note() -> None:
    record, dead = Subscriber(MSISDN), letter("command")
    note = JournalEntry(NOW, "discarded", {"id": "a", "kind": "command", **WHY})
    assert dead_letters.discard(dead, record, 3, NOW, WHY) == Change(3, record, (note,), exhumed=("a",))


def test_what_is_damaged_is_not_tried_again() -> None:
    assert dead_letters.refusal(letter(damaged="e30="), Subscriber(MSISDN)) == dead_letters.UNREADABLE


def test_a_code_is_neither_told_nor_made_where_a_newer_one_was_issued() -> None:
    newer = Subscriber(MSISDN, access=Access(issued_at=NOW - 999))
    older = Subscriber(MSISDN, access=Access(issued_at=NOW - 1001))
    for dead in (letter(sealed="x"), letter("code")):
        assert dead_letters.refusal(dead, newer) == dead_letters.OUTDATED
        assert dead_letters.refusal(dead, older) == ""
    for dead in (letter(text="x"), letter("command"), letter("code_order")):
        assert dead_letters.refusal(dead, newer) == ""


# With a store and what performs it ------------------------------------------------------------------------------------


async def take_back(at: Bench) -> DeadLetter:
    """Let the only dead letter be tried again, as the command does."""
    (dead,) = await at.store.dead_letters(MSISDN)
    record, version = await at.store.load(MSISDN, latest=True)
    assert dead_letters.refusal(dead, record) == ""
    assert await at.store.commit(dead_letters.retry(dead, record, version, at.now, HOUR, WHY))
    at.outbox.wake()
    return dead


def test_an_sms_that_was_refused_is_sent_when_it_is_taken_back(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.outcome = SendOutcome("refused", "0x0b")
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        await at.reply("1")
        await at.until(lambda: at.metrics.outbox["sms", "hopeless"] == 1 and not at.outbox.under_way)
        assert at.network.sms == []
        at.network.outcome = SendOutcome("sent")
        dead = await take_back(at)
        assert (dead.kind, dead.attempt) == ("sms", 1)
        assert await at.sms_until(1) == [dead.data["text"]]
        assert await at.store.dead_letters(MSISDN) == []
        assert await at.journal() == ["consent", "order placed", "order ended", "given_up", "sms ended", "taken back"]

    play(tmp_path, story)


def test_an_order_that_was_given_up_after_it_was_carried_out_is_charged_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        at.operator.outage = "loses_answers"  # it is carried out, and we do not hear of it
        await at.reply("1")
        await at.until(lambda: at.metrics.outbox["command", "later"] == 1)
        await at.outbox.stop(5)
        at.operator.outage = ""
        charged = await at.operator.balance(MSISDN)
        at.now += 1000
        (claimed,) = await at.store.claim(at.now, 1, 1000)
        await at.store.bury(claimed, at.now, "a person gave it up")
        (dead,) = await at.store.dead_letters(MSISDN)
        assert (dead.kind, dead.id) == ("command", claimed.entry.id)
        at.outbox = Outbox(at.store, at.performers, at.metrics, lambda: at.now)
        at.outbox.start()
        await take_back(at)
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert await at.operator.balance(MSISDN) == charged
        record, _ = await at.store.load(MSISDN, latest=True)
        assert record.pending == {}

    play(tmp_path, story)


def test_a_record_that_has_changed_meanwhile_is_not_lost(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        entry = OutboxEntry("x", "sms", at.now, {"from": "", "text": "hello"})
        at.network.outcome = SendOutcome("refused", "0x0b")
        await at.store.commit(Change(0, Subscriber(MSISDN), outbox=[entry]))
        at.outbox.wake()
        await at.until(lambda: at.metrics.outbox["sms", "hopeless"] == 1 and not at.outbox.under_way)
        (dead,) = await at.store.dead_letters(MSISDN)
        record, version = await at.store.load(MSISDN, latest=True)
        assert await at.store.commit(Change(version, replace(record, language="en")))
        assert not await at.store.commit(dead_letters.retry(dead, record, version, at.now, HOUR, WHY))
        assert (await at.store.load(MSISDN, latest=True))[0].language == "en"
        assert await at.store.dead_letters(MSISDN) == [dead]

    play(tmp_path, story)
