"""What a commit leaves to do is done at least once, its outcome once, and a code is readable nowhere on the way."""

import re
from functools import partial
from pathlib import Path

import pytest

from tests.ussd_server.turns.bench import MSISDN, POOR, Bench, perform, play, sms_entry
from ussd_server.channels.sms import SendOutcome
from ussd_server.outbox import performers
from ussd_server.outbox.outcomes import FIRST_WAIT_MS, LONGEST_WAIT_MS, Later
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.base import EVIDENCE, Claimed


def test_an_order_is_carried_out_and_its_receipt_comes_by_sms(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        assert (await at.reply("1")).text == "Accepted."
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert at.network.sms[0][:2] == ("111", MSISDN)
        record, _ = await at.store.load(MSISDN)
        assert record.pending == {}
        assert await at.journal() == ["consent", "order placed", "order ended"]
        assert EVIDENCE.issuperset(await at.journal())  # none of it may go for what is said every day

    play(tmp_path, story)


def test_without_money_nothing_is_ordered(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#", msisdn=POOR)
        await at.reply("1", msisdn=POOR)
        assert (await at.reply("1", msisdn=POOR)).text == "Not enough money."
        assert await at.journal(POOR) == []
        assert (await at.operator.balance(POOR)).minor == 1240

    play(tmp_path, story)


def test_an_order_whose_answer_was_lost_is_asked_after_and_charged_once(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        at.operator.outage = "loses_answers"
        await at.reply("1")
        await at.until(lambda: at.metrics.outbox["command", "later"] == 1)
        at.operator.outage = ""
        at.now += FIRST_WAIT_MS
        at.outbox.wake()
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert (await at.operator.products(MSISDN)).tariff.id  # still one tariff, whichever is in force today
        assert await at.journal() == ["consent", "order placed", "order ended"]

    play(tmp_path, story)


def test_an_order_that_the_operator_does_not_answer_is_left_and_asked_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performers, "ASK_MS", 1)

    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        at.operator.hold()
        await at.reply("1")
        await at.until(lambda: at.metrics.outbox["command", "later"] == 1)
        monkeypatch.undo()
        at.operator.release()
        at.now += FIRST_WAIT_MS
        at.outbox.wake()
        assert await at.sms_until(1) == ["Done. Balance 500 RUB"]
        assert await at.journal() == ["consent", "order placed", "order ended"]

    play(tmp_path, story)


def test_a_query_that_the_operator_does_not_answer_is_asked_again_and_given_up_after_some_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performers, "ASK_MS", 1)

    async def story(at: Bench) -> None:
        at.operator.hold()
        await at.dial("*100#")
        for tries in range(1, performers.ASK_TRIES):
            await at.until(partial(tried, at, tries))
            at.now += LONGEST_WAIT_MS
            at.outbox.wake()
        assert await at.sms_until(1) == ["Not now."]

    def tried(at: Bench, times: int) -> bool:
        return at.metrics.outbox["query", "later"] == times and at.outbox.under_way == 0

    play(tmp_path, story, deadline_ms=1)


def test_the_journal_says_why_an_order_was_refused(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.dial("*111#")
        await at.reply("1")
        await at.reply("2")
        at.now += 24 * 3_600_000  # the quote is honoured no more
        await at.reply("1")
        assert await at.sms_until(1) == ["Rejected."]
        (ended,) = await at.store.journal(MSISDN, "order ended")
        assert (ended.data["outcome"], ended.data["reason"]) == ("rejected", "quote_expired")

    play(tmp_path, story)


def test_a_code_comes_by_sms_and_is_readable_nowhere_else(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.text("2163", "111")
        await at.sms_until(1)
        at.network.outcome = SendOutcome("later", "no link")
        await at.text("6262", "")
        await at.until(lambda: at.metrics.outbox["sms", "later"] >= 1)
        await at.until(lambda: at.metrics.outbox["code", "done"] == 1)
        at.network.outcome = SendOutcome("sent")
        at.now += FIRST_WAIT_MS
        at.outbox.wake()
        texts = await at.sms_until(3)
        codes = [code for text in texts for code in re.findall(r"\d{8}", text)]
        assert len(codes) == 1
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert codes[0].encode() not in written
        record, _ = await at.store.load(MSISDN)
        assert record.access.generation == 1
        assert record.access.sealed is not None

    play(tmp_path, story)


def test_a_code_sealed_with_a_key_that_is_not_here_yet_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server has rotated: it can send this SMS, and so can we once its keys are here."""

    async def story(at: Bench) -> None:
        await at.text("2163", "111")
        await at.sms_until(1)
        at.network.outcome = SendOutcome("later", "no link")
        await at.text("6262", "")
        await at.until(lambda: at.metrics.outbox["code", "done"] == at.metrics.outbox["sms", "later"] == 1)
        at.network.outcome = SendOutcome("sent")
        monkeypatch.setattr(at.vault, "_keys", Keyring().completed(at.now))
        at.now += FIRST_WAIT_MS
        at.outbox.wake()
        await at.until(lambda: at.metrics.outbox["sms", "later"] == 2)
        monkeypatch.undo()
        at.now += LONGEST_WAIT_MS
        at.outbox.wake()
        texts = await at.sms_until(3)
        assert [found for text in texts for found in re.findall(r"\d{8}", text)]
        assert at.metrics.outbox["sms", "hopeless"] == 0

    play(tmp_path, story)


def test_the_code_that_came_is_the_one_that_is_kept(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.text("2163", "111")
        await at.text("6262", "")
        texts = await at.sms_until(3)
        code = next(found for text in texts for found in re.findall(r"\d{8}", text))
        access = (await at.store.load(MSISDN))[0].access
        assert (await at.hasher.check(access.sealed, Secret(code), MSISDN, access.generation)).right
        assert not (await at.hasher.check(access.sealed, Secret("00000000"), MSISDN, access.generation)).right

    play(tmp_path, story)


def test_a_number_that_is_not_activated_gets_no_code(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        await at.text("6262", "")
        assert await at.sms_until(1) == ["Activate first."]
        assert (await at.store.load(MSISDN))[0].access.sealed is None

    play(tmp_path, story)


def test_an_sms_that_the_network_refuses_for_good_is_given_up_with_a_journal_entry(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.network.outcome = SendOutcome("refused", "ESME_RINVDSTADR")
        await at.text("2163", "111")
        await at.until(lambda: at.metrics.outbox["sms", "hopeless"] == 1 and not at.outbox.under_way)
        await at.until(lambda: at.metrics.deliveries == {"failed": 1})
        assert await at.store.next_due() is None
        assert len(await at.journal()) == 3

    play(tmp_path, story)


def test_an_sms_that_there_was_often_no_room_for_is_looked_at_again_soon(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        entry = sms_entry("one", at.now, "a")
        waits = []
        for crowded in (True, False):
            at.network.outcome = SendOutcome("later", "as many wait as may", crowded=crowded)
            done = await perform(at.performers["sms"], Claimed(MSISDN, entry, 9, at.now))
            assert isinstance(done, Later)
            waits.append(done.due)
        assert at.now + FIRST_WAIT_MS <= waits[0] <= at.now + performers.LONGEST_CROWDED_MS
        assert waits[1] == 0, "the number of tries decides"

    play(tmp_path, story)
