"""An entry costs one try, whatever happens on the way; and nobody learns from it which numbers there are."""

import asyncio
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ussd_server.terminals.hall import CODE, HALL, STREET, UNKNOWN, WRONG, Hall, play, refused, told
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Checked
from ussd_server.stores.base import StoreUnavailable
from ussd_server.subscribers.codes import LOCK_MS, MAX_WRONG, RESERVATION_MS, SealedCode
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Answered, Outcome
from ussd_server.terminals.problems import Problem


def test_the_right_code_opens_a_visit_with_the_first_screen(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        assert refused(await at.open(WRONG)) == "code-rejected"
        opened = await at.visit()
        assert (opened.idle_seconds, opened.screen.id, opened.screen.title) == (180, 1, "Menu")
        assert await at.wrong() == 0
        assert await at.journal() == ["code wrong", "access opened"]
        (entry,) = await at.bench.store.journal(MSISDN, "access opened")
        assert entry.data == {"terminal": HALL}
        assert at.bench.metrics.checks == {"wrong": 1, "accepted": 1}

    play(tmp_path, story)


def test_three_wrong_entries_close_access_for_a_day_and_the_owner_is_told_once(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        outcomes = [await at.open(WRONG) for _ in range(5)]
        assert [refused(each) for each in outcomes] == ["code-rejected"] * 2 + ["access-locked"] * 3
        assert [each.more for each in outcomes if isinstance(each, Problem)][:2] == [
            {"attempts_left": 2},
            {"attempts_left": 1},
        ]
        closed = outcomes[2]
        assert isinstance(closed, Problem)
        assert (closed.more, closed.retry_after) == ({"locked_until": at.bench.now + LOCK_MS}, LOCK_MS // 1000)
        assert await at.journal() == ["code wrong", "code wrong", "access locked"]
        assert await at.counted() == 3
        (text,) = await at.bench.sms_until(1)
        assert "The hall" in text
        at.bench.now += RESERVATION_MS  # when the third try would have lapsed
        at.bench.outbox.wake()
        await at.bench.until(lambda: at.bench.metrics.outbox["lock_notice", "done"] == 1)
        await at.bench.until(lambda: at.bench.metrics.outbox["sms", "done"] == 1)
        assert len(at.bench.network.sms) == 1

    play(tmp_path, story)


def test_a_kept_answer_tells_how_long_access_stays_closed_as_of_now(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.open(WRONG)
        await at.open(WRONG)
        first = await at.open(WRONG, "last")
        at.bench.now += 20 * 1000
        again = await at.open(WRONG, "last")
        assert isinstance(first, Problem)
        assert isinstance(again, Problem)
        assert again == dataclasses.replace(first, retry_after=LOCK_MS // 1000 - 20)

    play(tmp_path, story)


def test_while_access_is_closed_nothing_is_evaluated_and_then_the_old_code_works(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for _ in range(MAX_WRONG):
            await at.open(WRONG)
        closed_at = at.bench.now
        verified = _watch(at)
        at.bench.now += LOCK_MS - 1
        assert refused(await at.open()) == "access-locked"
        assert verified == []
        at.bench.now = closed_at + LOCK_MS
        assert (await at.visit()).screen.title == "Menu"

    play(tmp_path, story)


@pytest.mark.parametrize("known", ["unknown", "inactive", "without a code"])
def test_nobody_learns_from_an_answer_or_from_the_work_which_numbers_there_are(tmp_path: Path, known: str) -> None:
    async def story(at: Hall) -> None:
        if known == "inactive":
            await at.change(UNKNOWN, activated_at=0)
            await at.issue(CODE, UNKNOWN)
        elif known == "without a code":
            await at.change(UNKNOWN, activated_at=1)
        seen = []
        for msisdn in (MSISDN, UNKNOWN):
            verified, steps = _watch(at), []
            for _ in range(MAX_WRONG + 1):
                before = at.store.calls.copy()
                outcome = await at.open(WRONG if msisdn == MSISDN else CODE, msisdn=msisdn)
                steps.append((outcome, at.store.calls - before))
            seen.append((steps, len(verified), await at.journal(msisdn)))
        assert seen[0] == seen[1]

    play(tmp_path, story, work=False)


def test_the_owner_of_an_inactive_number_is_not_written_to(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for _ in range(MAX_WRONG):
            await at.open(WRONG, msisdn=UNKNOWN)
        at.bench.now += RESERVATION_MS
        at.bench.outbox.wake()
        await at.bench.until(lambda: at.bench.metrics.outbox["lock_notice", "done"] == 1)
        assert at.bench.network.sms == []
        assert at.bench.metrics.outbox["sms", "done"] == 0

    play(tmp_path, story)


# The same request again -----------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_its_answer_and_takes_no_try(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        first = await at.open(WRONG, "once")
        assert await at.open(WRONG, "once") == first == await at.open(WRONG, "once", desk=at.other)
        assert (await at.wrong(), await at.counted()) == (1, 1)
        opened = await at.open(CODE, "in")
        at.bench.now += 3_600_000  # also when its entry is no longer fresh
        assert await at.open(CODE, "in", inner={"iat": at.bench.now - 3_600_000}) == opened
        assert await at.journal() == ["code wrong", "access opened"]

    play(tmp_path, story)


def test_another_code_under_the_same_key_is_refused_and_not_looked_at(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await at.open(WRONG, "once")
        assert refused(await at.open(CODE, "once")) == "idempotency-key-reused"
        assert await at.wrong() == 1

    play(tmp_path, story)


def test_of_two_same_requests_at_once_the_second_is_told_to_wait(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        outcomes = await asyncio.gather(*(at.open(WRONG, "once") for _ in range(4)))
        names = sorted(refused(each) for each in outcomes)
        assert names == ["code-rejected", *["request-in-progress"] * 3]
        assert await at.wrong() == 1

    play(tmp_path, story)


def test_two_servers_with_the_same_request_take_one_try_and_give_one_answer(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        first, second = await asyncio.gather(at.open(CODE, "once"), at.open(CODE, "once", desk=at.other))
        answers = [each for each in (first, second) if isinstance(each, Answered)]
        # The other one is told that it is at work, or the answer, if it is there by then.
        assert answers
        assert all(refused(each) == "request-in-progress" for each in (first, second) if isinstance(each, Problem))
        assert await at.open(CODE, "once", desk=at.other) == await at.open(CODE, "once") == answers[0]
        assert (await at.journal(), await at.wrong()) == (["access opened"], 0)

    play(tmp_path, story)


def test_another_guess_under_the_same_key_at_another_server_takes_no_second_try(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await asyncio.gather(at.open(WRONG, "once"), at.open(CODE, "once", desk=at.other))
        right_was_first = await at.journal() == ["access opened"]
        assert await at.wrong() == (0 if right_was_first else 1)
        first, other = (CODE, WRONG) if right_was_first else (WRONG, CODE)
        answer = await at.open(first, "once")
        assert isinstance(answer, Answered) if right_was_first else refused(answer) == "code-rejected"
        assert refused(await at.open(other, "once")) == "idempotency-key-reused"

    play(tmp_path, story)


def test_of_many_guesses_at_once_at_two_servers_three_are_evaluated(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        verified = _watch(at)
        desks = (at.desk, at.other)
        outcomes = await asyncio.gather(
            *(at.open(f"{number:08}", desk=desks[number % 2]) for number in range(1, 13))
        )  # fmt: skip
        assert len(verified) == MAX_WRONG
        assert {refused(each) for each in outcomes} <= {"code-rejected", "access-locked", "check-in-progress"}
        assert refused(await at.open()) == "access-locked"

    play(tmp_path, story, work=False)


# What breaks on the way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("code", "name", "wrong"), [(CODE, "", 0), (WRONG, "code-rejected", 1)])
def test_a_store_that_breaks_at_any_step_loses_no_try_and_counts_none_twice(
    tmp_path: Path, after: bool, code: str, name: str, wrong: int
) -> None:
    async def story(at: Hall) -> None:
        for step in range(1, 12):
            key = f"step-{step}"
            request = await at.request(key)
            at.store.break_at(step, after=after)
            try:
                first: Outcome | None = await at.open(code, key)
            except StoreUnavailable:
                first = None
            broke = at.store.broke
            at.store.break_at(0)
            again = await at.open(code, request.key)
            assert first in (None, again)
            assert (refused(again) if isinstance(again, Problem) else "") == name
            assert await at.wrong() == wrong
            assert await at.journal() == ["access opened" if not name else "code wrong"] * step
            if wrong:
                await at.change(access=replace((await at.bench.store.load(MSISDN))[0].access, wrong=0))
            if not broke:
                return
        raise AssertionError("every step broke; there are more of them")

    async def cleared(at: Hall) -> None:
        await story(at)

    play(tmp_path, cleared, work=False)


def test_a_try_that_nobody_settled_is_the_same_one_when_its_request_comes_again(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _abandon(at, CODE, "lost")
        assert len((await at.bench.store.load(MSISDN))[0].access.reservations) == 1
        at.bench.now += RESERVATION_MS - 1
        assert told(await at.open(CODE, "lost"), messages.VisitOpened).screen.title == "Menu"
        assert await at.wrong() == 0

    play(tmp_path, story, work=False)


def test_a_try_that_lapsed_has_counted_and_its_request_takes_no_second_one(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _abandon(at, CODE, "lost")
        at.bench.now += RESERVATION_MS
        late = await at.open(CODE, "lost")
        assert isinstance(late, Problem)
        assert (late.kind.name, late.more) == ("code-rejected", {"attempts_left": 2})
        assert await at.open(CODE, "lost") == late
        assert (await at.wrong(), await at.counted()) == (1, 1)

    play(tmp_path, story, work=False)


def test_the_owner_is_told_of_a_lock_that_nobody_settled(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for number in range(MAX_WRONG):
            await _abandon(at, WRONG, f"lost-{number}")
        at.bench.now += RESERVATION_MS
        at.bench.outbox.wake()
        (text,) = await at.bench.sms_until(1)
        assert "The hall" in text
        assert refused(await at.open()) == "access-locked"

    play(tmp_path, story)


def test_more_entries_than_tries_wait_for_those_that_are_being_checked(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        for number in range(MAX_WRONG):
            await _abandon(at, WRONG, f"lost-{number}")
        waits = await at.open()
        assert isinstance(waits, Problem)
        assert (waits.kind.name, waits.retry_after) == ("check-in-progress", 1)

    play(tmp_path, story, work=False)


def test_a_code_that_cannot_be_read_is_nobodys_mistake(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        access = (await at.bench.store.load(MSISDN))[0].access
        assert access.sealed is not None
        await at.change(access=replace(access, sealed=SealedCode("kek-gone", access.sealed.salt, access.sealed.box)))
        assert refused(await at.open(CODE, "once")) == "unavailable"
        record, _ = await at.bench.store.load(MSISDN)
        await at.change(access=replace(record.access, sealed=access.sealed))
        assert told(await at.open(CODE, "once"), messages.VisitOpened).visit

    play(tmp_path, story)


def test_a_service_that_is_deactivated_meanwhile_lets_nobody_in(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        check = at.bench.hasher.check

        async def meanwhile(*args: Any) -> Checked:
            checked = await check(*args)
            await at.change(activated_at=0)
            return checked

        at.bench.hasher.check = meanwhile  # type: ignore[method-assign,assignment]
        assert refused(await at.open()) == "code-rejected"

    play(tmp_path, story)


# What is refused before anything is counted ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"msisdn": "79100000004"}, "entry-mismatch"),
        ({"terminal": STREET}, "entry-mismatch"),
        ({"attempt": "another"}, "entry-mismatch"),
        ({"iat": 1_800_000_000_000 - 60_001}, "entry-late"),
        ({"iat": 1_800_000_000_000 + 5_001}, "entry-late"),
    ],
)
def test_an_entry_that_is_not_this_requests_or_not_fresh_takes_no_try(
    tmp_path: Path, changed: dict[str, Any], name: str
) -> None:
    async def story(at: Hall) -> None:
        assert refused(await at.open(inner=changed)) == name
        assert (at.store.calls["commit"], await at.wrong()) == (0, 0)

    play(tmp_path, story)


def test_an_entry_that_cannot_be_opened_takes_no_try(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        kid = at.bench.keys.current("transport").id
        for entry, name in (
            (messages.SealedEntry("transport-gone", "AAAA"), "transport-key-unknown"),
            (messages.SealedEntry(at.bench.vault.kek, "AAAA"), "transport-key-unknown"),
            (messages.SealedEntry(kid, "AAAA"), "entry-unreadable"),
        ):
            outcome = await at.desk.open_visit(await at.request(), messages.OpenVisit(MSISDN, entry))
            assert refused(outcome) == name
        assert at.store.calls["commit"] == 0

    play(tmp_path, story)


def test_a_flood_is_refused_before_a_try_is_taken(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        places = []
        while (place := at.bench.hasher.admit()) is not None:
            places.append(place)
        busy = await at.open(WRONG)
        assert isinstance(busy, Problem)
        assert (busy.kind.name, busy.retry_after, at.store.calls["commit"]) == ("busy", 1, 0)
        for place in places:
            with place:
                pass
        assert refused(await at.open(WRONG)) == "code-rejected"
        assert at.bench.hasher.under_way == 0

    play(tmp_path, story)


def test_a_code_that_is_too_old_is_told_to_who_knows_it_alone_and_takes_no_try(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        at.bench.now += at.bench.tools.policy.max_age_ms
        assert refused(await at.open()) == "code-expired"
        assert (await at.wrong(), await at.counted()) == (0, 0)
        assert refused(await at.open(WRONG)) == "code-rejected"
        assert await at.journal() == ["code too old", "code wrong"]

    play(tmp_path, story)


# The terminal's budget ------------------------------------------------------------------------------------------------


def test_a_terminal_with_too_many_wrong_entries_is_quarantined(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _allow(at, 2)
        for number in range(2):
            assert refused(await at.open(WRONG, msisdn=f"7910000001{number}")) == "code-rejected"
        terminal, _ = await at.bench.store.load_terminal(HALL)
        assert terminal is not None
        assert (terminal.standing, terminal.reason) == ("quarantined", "2 wrong entries in an hour")
        assert refused(await at.open()) == "terminal-quarantined"
        assert (await at.visit(terminal=STREET)).screen.title == "Menu"

    play(tmp_path, story)


def test_many_entries_at_once_do_not_overdraw_a_terminals_budget(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _allow(at, 2)
        verified = _watch(at)
        outcomes = await asyncio.gather(*(at.open(WRONG, msisdn=f"791000000{number}") for number in range(10, 18)))
        assert sorted(refused(each) for each in outcomes) == ["code-rejected"] * 2 + ["too-many-requests"] * 6
        assert len(verified) == 2

    play(tmp_path, story, work=False)


def test_entries_that_are_sent_again_take_no_more_places_than_new_ones(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _allow(at, 2)
        keys = [f"in-{number}" for number in range(6)]
        first = [await at.open(CODE, key) for key in keys]
        again = await asyncio.gather(*(at.open(CODE, key) for key in keys))
        assert again[:2] == first[:2]
        assert [refused(each) for each in again[2:]] == ["too-many-requests"] * 4
        assert [await at.open(CODE, key) for key in keys] == first

    play(tmp_path, story)


def test_right_codes_use_nothing_up(tmp_path: Path) -> None:
    async def story(at: Hall) -> None:
        await _allow(at, 1)
        for _ in range(3):
            await at.visit()
        assert await at.counted() == 0

    play(tmp_path, story)


# ----------------------------------------------------------------------------------------------------------------------


def _watch(at: Hall) -> list[str]:
    """Return the list that every entry that is verified from now on is added to, as its number."""
    verified: list[str] = []
    check = type(at.bench.hasher).check

    async def watched(sealed: SealedCode | None, code: Secret[str], msisdn: str, *rest: Any) -> Checked:
        verified.append(msisdn)
        return await check(at.bench.hasher, sealed, code, msisdn, *rest)

    at.bench.hasher.check = watched  # type: ignore[method-assign,assignment]
    return verified


async def _abandon(at: Hall, code: str, key: str) -> None:
    """Let the server be killed when the try is reserved."""

    class Killed(Exception):
        pass

    async def killed(*args: Any) -> Checked:
        raise Killed

    check, at.bench.hasher.check = at.bench.hasher.check, partial(killed)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await at.open(code, key)
    at.bench.hasher.check = check  # type: ignore[method-assign]


async def _allow(at: Hall, wrong: int) -> None:
    terminal, version = await at.bench.store.load_terminal(HALL)
    assert terminal is not None
    assert await at.bench.store.commit_terminal(replace(terminal, wrong_an_hour=wrong), version)
