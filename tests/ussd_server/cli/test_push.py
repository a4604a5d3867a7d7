"""`ussd-server push`: who is called on, who is not and why; and wrong use is told before anything is queued."""

import asyncio
import io
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import ussd_server
from tests.signalled import committed, signalled
from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.stores.sqlite.bench import HeldDisk
from ussd_server.cli import push as push_command
from ussd_server.cli.push import AT_ONCE
from ussd_server.settings import PREFIX
from ussd_server.stores.base import PUSHES, Change, Claimed, JournalEntry
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.turns import pushes
from ussd_server.turns.pushes import PushOrder

ANNA, BORIS = "79101234567", "79101234568"
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _at_any_hour(monkeypatch: pytest.MonkeyPatch, _bare_environment: None) -> None:
    monkeypatch.setenv(f"{PREFIX}QUIET_HOURS", "")
    monkeypatch.setenv("COLUMNS", "200")
    Path("var").mkdir()
    at_the_store(lambda store: store.ping())


def at_the_store(work: Any) -> Any:
    async def within() -> Any:
        store = SqliteStore(Path("var/ussd-server.db"))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def queued() -> list[tuple[str, PushOrder]]:
    """Return what waits to be pushed, and to whom; it is claimed by that."""
    claimed: list[Claimed] = at_the_store(lambda store: store.claim(2**52, 1000, 1, [PUSHES]))
    return sorted((each.msisdn, pushes.read(each.entry)) for each in claimed)


def agree(msisdn: str) -> None:
    async def work(store: SqliteStore) -> None:
        record, version = await store.load(msisdn)
        changed, note = pushes.with_consent(record, True, "test", 1)
        assert await store.commit(Change(version, changed, journal=[note]))

    at_the_store(work)


def test_a_text_is_queued_for_each_number_once(said: Said) -> None:
    assert said("push", "notify", ANNA, "8 910 123-45-68", f"+{ANNA}", "--text", "Готово", "--category", "service") == 0
    assert said.out.splitlines()[0].split() == ["queued", "2"]
    assert "Any running server with a USSD link sends it, until" in said.out
    before = push_command.now()
    waiting = queued()
    assert [(who, order.text, order.kind, order.category) for who, order in waiting] == [
        (ANNA, "Готово", "notify", "service"),
        (BORIS, "Готово", "notify", "service"),
    ]
    assert all(0 <= before + 600_000 - order.until < 60_000 for _, order in waiting)


def test_an_offer_goes_to_who_has_agreed_and_the_others_are_counted(said: Said) -> None:
    agree(ANNA)
    assert said("push", "ask", ANNA, BORIS, "--screen", "tariffs", "--within", "2h", "--from", "112") == 0
    assert [line.split()[:3] for line in said.out.splitlines()[:2]] == [["queued", "1"], ["no", "consent", "1"]]
    ((who, order),) = queued()
    assert (who, order.screen, order.kind, order.source, order.category) == (ANNA, "tariffs", "ask", "112", "offer")
    assert 0 <= push_command.now() + 2 * HOUR_MS - order.until < 60_000
    assert at_the_store(lambda store: store.journal(BORIS)) == []


def test_where_nobody_agrees_nothing_is_done_and_the_exit_code_says_so(said: Said) -> None:
    assert said("push", "notify", ANNA, "--text", "Buy") == 1
    assert "they have not agreed to offers" in said.out
    assert queued() == []


def test_a_campaign_calls_on_nobody_twice(said: Said) -> None:
    words = ("push", "notify", "--text", "Hello", "--category", "service", "--campaign", "spring")
    assert said(*words, ANNA) == 0
    assert said(*words, ANNA, BORIS) == 0
    assert [line.split()[:2] for line in said.out.splitlines()[:2]] == [["queued", "1"], ["already", "1"]]
    assert said(*words, ANNA, BORIS) == 1
    assert [who for who, _ in queued()] == [ANNA, BORIS]
    assert said(*words[:-1], "summer", ANNA) == 0


def test_a_campaign_is_known_whatever_was_pushed_since(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSD_SERVER_JOURNAL_ENTRIES", "1")
    words = ("push", "notify", ANNA, "--text", "Hello", "--category", "service")
    for campaign in (("--campaign", "spring"), ("--campaign", "summer"), (), ()):
        assert said(*words, *campaign) == 0
    assert said(*words, "--campaign", "spring") == 1
    assert said("subscriber", "journal", ANNA) == 0
    kinds = [line.split("  ")[1] for line in said.out.splitlines()]
    assert kinds == ["single push queued", "push queued", "push queued"]


def test_a_campaign_of_an_older_version_is_known_whatever_is_pushed_since(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def as_of_old(store: SqliteStore) -> None:
        record, version = await store.load(ANNA)
        notes = [
            JournalEntry(1, "push queued", {"push": "a", "campaign": "autumn"}),
            JournalEntry(2, "push queued", {}),
        ]
        assert await store.commit(Change(version, record, notes))

    monkeypatch.setenv("USSD_SERVER_JOURNAL_ENTRIES", "1")
    at_the_store(as_of_old)
    words = ("push", "notify", ANNA, "--text", "Hello", "--category", "service")
    for campaign in ((), (), ("--campaign", "winter")):
        assert said(*words, *campaign) == 0
    for known in ("autumn", "winter"):
        assert said(*words, "--campaign", known) == 1
    # An older command beside this one finds them, too.
    noted = at_the_store(lambda store: store.journal(ANNA, "push queued"))
    assert [entry.data.get("campaign") for entry in noted] == ["winter", None, "autumn"]


def test_numbers_come_from_a_file_or_from_standard_input(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("numbers.txt").write_text(f"# spring\n\n{ANNA}   # Anna\n+7 (910) 123-45-68\n", encoding="utf-8")
    words = ("push", "notify", "--text", "Hello", "--category", "service", "--dry-run")
    assert said(*words, "--file", "numbers.txt") == 0
    assert said.out.splitlines()[0].split() == ["would", "be", "queued", "2"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\n"))
    assert said(*words, "--file", "-", BORIS) == 0
    assert said.out.splitlines()[0].split() == ["would", "be", "queued", "2"]
    assert queued() == []


def test_many_are_queued_whatever_else_is_written(said: Said) -> None:
    numbers = [f"7910{number:07}" for number in range(300)]
    Path("numbers.txt").write_text("\n".join(numbers), encoding="utf-8")
    assert said("push", "notify", "--text", "Hello", "--category", "service", "--file", "numbers.txt") == 0
    assert said.out.splitlines()[0].split() == ["queued", "300"]
    assert "take one server 60 s" not in said.out
    assert [who for who, _ in queued()] == numbers
    assert (
        said("push", "notify", "--text", "Hi", "--category", "service", "--file", "numbers.txt", "--within", "59s") == 0
    )
    assert "At 5 a second they take one server 60 s: give a longer --within" in said.out


def test_wrong_numbers_are_named_with_their_lines_and_nothing_is_queued(said: Said) -> None:
    Path("numbers.txt").write_text(f"{ANNA}\nanna\n111\n" + "x\n" * 9, encoding="utf-8")
    assert said("push", "notify", "--text", "Hello", "--category", "service", "--file", "numbers.txt") == 2
    assert "numbers.txt:2: MSISDN 'anna': not a subscriber's number" in said.err
    assert "numbers.txt:3: MSISDN '111'" in said.err
    assert said.err.rstrip().endswith("and 6 more. Nothing was queued")
    assert queued() == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((ANNA,), "give either --text or --screen"),
        ((ANNA, "--text", "a", "--screen", "balance"), "give either --text or --screen"),
        (("--text", "a"), "nobody to call on: give numbers, or --file with one a line"),
        ((ANNA, "--text", " "), "--text: there is nothing to read"),
        ((ANNA, "--text", "ж" * 81), "--text: it takes 81 UCS-2 units, and a screen holds 80"),
        ((ANNA, "--text", "€" * 92), "--text: it takes 184 septets, and a screen holds 182"),
        ((ANNA, "--text", "a", "--category", "advert"), "--category advert: it is service or offer"),
        ((ANNA, "--text", "a", "--urgent"), "--urgent: quiet hours hold for offers; what a subscriber asked for is"),
        ((ANNA, "--text", "a", "--within", "soon"), "--within soon: a time is written as 30 s, 10 min, 2 h or 1 d"),
        ((ANNA, "--text", "a", "--from", "shop"), "--from shop: a USSD number is 1 to 15 digits"),
        ((ANNA, "--text", "a", "--campaign", "a b"), "--campaign a b: 1 to 40 letters, digits, . _ and -"),
        ((ANNA, "--text", "a", "--file", "gone.txt"), "--file gone.txt: the file cannot be read: No such file"),
        ((ANNA, "--screen", "balnce"), "declares no such push; there are tariffs, balance"),
        ((ANNA, "--screen", "tariffs", "--urgent"), "--urgent: tariffs is an offer, and quiet hours hold for offers"),
        ((ANNA, "--screen", "balance", "--category", "offer"), "--category is for a text"),
        (("anna", "--text", "a"), "MSISDN 'anna': not a subscriber's number"),
    ],
)
def test_wrong_use_is_told(words: tuple[str, ...], error: str, said: Said) -> None:
    assert said("push", "notify", *words) == 2
    assert error in said.err
    assert said.err.count("\n") == 1
    assert queued() == []


def test_a_question_needs_a_screen(said: Said) -> None:
    assert said("push", "ask", ANNA) == 2
    assert "--screen: say which; there are tariffs, balance" in said.err


def test_quiet_hours_are_told(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}QUIET_HOURS", "00:00-23:59")
    # At the one minute of the day that is not quiet there is nothing to tell.
    monkeypatch.setattr(push_command, "now", lambda: 1_800_000_000_000)
    words = ("push", "notify", ANNA, "--text", "Hello", "--category", "service", "--dry-run")
    assert said(*words) == 0
    assert "quiet hours last until 23:59. A longer --within outlasts them." in said.out
    assert said(*words, "--within", "1 d") == 0
    assert "Quiet hours last until 23:59; then any running server" in said.out
    assert said(*words, "--urgent") == 0
    assert "Any running server with a USSD link sends it" in said.out


def test_without_a_store_nothing_is_queued(said: Said) -> None:
    assert said("push", "notify", ANNA, "--text", "a", "--category", "service", "--data", "elsewhere") == 2
    assert "there is no such file" in said.err


MANY = 3000


@pytest.mark.parametrize("campaign", [(), ("--campaign", "spring")], ids=["single", "campaign"])
def test_who_interrupts_a_campaign_reads_whether_the_same_command_goes_on(
    campaign: tuple[str, ...], said: Said
) -> None:
    Path("n.txt").write_text("\n".join(str(79100000000 + number) for number in range(MANY)), encoding="ascii")
    words = ("push", "notify", "--file", "n.txt", "--text", "Hello", "--category", "service", *campaign)
    code, out, err = signalled(words, signal.SIGTERM, committed(100))
    assert (code, out) == (143, "")
    told = re.match(rf"interrupted after (\d+) of {MANY} numbers", err)
    assert told, err
    before = at_the_store(lambda store: store.count_subscribers())
    assert 0 < int(told[1]) == before < MANY
    if not campaign:
        assert err.endswith(
            f", {told[1]} queued; the same command would queue them again, only one with --campaign goes on\n"
        )
        return
    assert err.endswith("; the same command goes on, and calls on nobody twice\n")
    assert said(*words) == 0
    assert [line.split()[:2] for line in said.lines[:2]] == [["queued", f"{MANY - before}"], ["already", f"{before}"]]


def interrupt(monkeypatch: pytest.MonkeyPatch, times: int) -> tuple[str, int]:
    """Interrupt a push so often while a group of commits is on its way to the disk.

    Return the remark, and how many are queued in the store afterwards.
    """
    order = PushOrder(3_600_000, "notify", text="Hello", category="service")
    numbers = [str(79100000000 + number) for number in range(MANY)]

    async def within(held: pytest.MonkeyPatch) -> str:
        store = SqliteStore(Path("var/ussd-server.db"))
        disk, way = HeldDisk(held), push_command._Way()
        try:
            task = asyncio.create_task(push_command._queue_all(store, numbers, order, False, way))
            await disk.asked.get()
            disk.may.release()
            await disk.asked.get()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            if times == 1:
                disk.may.release(MANY)
            with pytest.raises(asyncio.CancelledError):
                await task
            return push_command._interrupted(way, MANY, order, False)
        finally:
            disk.may.release(MANY)
            await store.close()

    with monkeypatch.context() as held:
        remark = asyncio.run(within(held))
    return remark, at_the_store(lambda store: store.count_subscribers())


def test_what_was_under_way_when_it_was_interrupted_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    remark, stored = interrupt(monkeypatch, 1)
    assert stored == 2 * AT_ONCE
    assert remark.startswith(f"interrupted after {stored} of {MANY} numbers, {stored} queued; ")


def test_who_interrupts_twice_does_not_wait_and_reads_how_many_more_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    remark, stored = interrupt(monkeypatch, 2)
    assert stored == 2 * AT_ONCE
    assert remark.startswith(
        f"interrupted after {AT_ONCE} of {MANY} numbers, {AT_ONCE} queued and perhaps {AT_ONCE} more; "
    )


def test_what_may_be_pushed_is_listed(said: Said) -> None:
    assert said("push", "screens") == 0
    assert said.lines == [
        "tariffs  ask or notify  tariffs_if_active  offer    within 3600 s",
        "balance  notify         balance            service  within 600 s",
    ]


def test_a_screen_that_nobody_could_answer_is_not_queued_to_be_asked(said: Said) -> None:
    assert said("push", "ask", ANNA, "--screen", "balance") == 2
    assert said.err == (
        "error: --screen balance: it closes at once, so nobody could answer; give: ussd-server push notify\n"
    )
    text = (Path(ussd_server.__file__).with_name("flows.yaml")).read_text(encoding="utf-8")
    Path("f.yaml").write_text(text.replace("{push: balance, to: balance,", "{push: balance, to: language,"), "utf-8")
    assert said("push", "notify", ANNA, "--screen", "balance", "--flows", "f.yaml") == 2
    assert said.err == "error: --screen balance: it waits for an answer; give: ussd-server push ask\n"
    assert queued() == []


def test_the_support_desk_notes_consent_and_takes_it_back(said: Said) -> None:
    assert said("subscriber", "offers", ANNA, "yes", "--reason", "in the shop") == 0
    assert said.out == f"{ANNA}: agrees to be sent offers.\n"
    assert said("subscriber", "offers", ANNA, "yes", "--reason", "again") == 0
    assert "nothing was changed" in said.out
    assert said("subscriber", "show", ANNA) == 0
    assert "agreed to on 20" in said.out
    assert said("subscriber", "offers", ANNA, "no", "--reason", "called") == 0
    assert said("subscriber", "journal", ANNA) == 0
    refused, accepted = said.out.splitlines()
    assert refused.endswith("offers refused   by: support desk; reason: called")
    assert accepted.endswith("offers accepted  by: support desk; reason: in the shop")
    assert said("subscriber", "offers", ANNA, "maybe", "--reason", "x") == 2
    assert said("subscriber", "offers", ANNA, "no", "--reason", " ") == 2
