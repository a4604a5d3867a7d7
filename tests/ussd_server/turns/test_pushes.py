"""Whether a subscriber may be called on now, and what an input means for the push under way: the rules alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from menus.compiler import compile_flow
from menus.session import Session
from tests.ussd_server.turns.bench import MSISDN, SCREEN
from ussd_server.channels.base import Input
from ussd_server.subscribers.record import Exchange, Pushed, Subscriber
from ussd_server.turns import pushes
from ussd_server.turns.pushes import BUSY_MS, READING_MS, End, Go, PushOrder, Result, Wait
from ussd_server.turns.quiet import NO_QUIET_HOURS, QuietHours
from ussd_server.turns.redelivery import USSD_WINDOW_MS
from ussd_server.turns.service import REGISTRY

DOCS = Path(__file__).parents[3] / "docs"
NIGHT = QuietHours.parse("21:00-09:00", ZoneInfo("UTC"))
NOON = int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp()) * 1000
ACCOUNT = "smpp://user@smsc:2775"
SESSION = Session("s", "r", "ussd", "n", NOON)
CUT_OFF = Session("c", "r", "ussd", "n", NOON - 1, dropped=True)
ORDER = PushOrder(until=NOON + 600_000, text="Hello", category="service")
PLAIN = Subscriber(MSISDN)


def exchange(at: int = NOON, *, ends: bool = False, text: str | None = "menu", dialogue: str = "1") -> Exchange:
    return Exchange(f"{ACCOUNT}/{dialogue}", "link", 1, -1, False, at, b"typed", text, ends)


def heard(record: Subscriber, kind: str, *, typed: bytes = b"", **changed: object) -> object:
    usual = {"account": ACCOUNT, "dialogue": f"{ACCOUNT}/9", "link": "link", "sequence": 7, "at": NOON}
    input = Input(msisdn=MSISDN, channel=SCREEN, kind=kind, text="", **(usual | changed))  # type: ignore[arg-type]
    newest = exchange(NOON, text="newest")
    last, found = pushes.heard(record, input, typed, newest)
    if found is not None:
        assert last is newest
        return found.result
    return None if last is newest else last


def under_way(kind: str, *, sent: bool = True, before: Exchange | None = None) -> Subscriber:
    push = Pushed("p", kind, ACCOUNT, NOON + 1000, sent)  # type: ignore[arg-type]
    record = PLAIN if before is None else replace(PLAIN, exchanges={"ussd": before})
    return pushes.begun(record, push, SESSION if kind == "ask" else None, "screen", NOON)


# Before it is sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "wait"),
    [
        (exchange(NOON - 1), Wait(NOON + BUSY_MS, "the subscriber is in a dialogue")),
        (exchange(NOON - USSD_WINDOW_MS), None),
        (
            exchange(NOON - 1, ends=True),
            Wait(NOON - 1 + READING_MS, "the subscriber reads the end of a dialogue"),
        ),
        (exchange(NOON - READING_MS, ends=True), None),
        (exchange(NOON - 1, ends=True, text=None), None),  # hung up
    ],
)
def test_nobody_is_disturbed_who_is_in_a_dialogue_or_reads_its_end(last: Exchange, wait: Wait | None) -> None:
    record = replace(PLAIN, exchanges={"ussd": last})
    assert pushes.decide(record, ORDER, "p", NOON, NO_QUIET_HOURS) == (wait or Go())


RECORDS = st.builds(
    Subscriber,
    st.just(MSISDN),
    offers_at=st.sampled_from([0, 1]),
    exchanges=st.just({})
    | st.builds(exchange, st.integers(NOON - 300_000, NOON), ends=st.booleans()).map(lambda one: {"ussd": one}),
    push=st.none()
    | st.builds(
        Pushed,
        st.sampled_from(["p", "other"]),
        st.sampled_from(["notify", "ask"]),
        st.just(ACCOUNT),
        st.integers(NOON - 200_000, NOON + 200_000),
        st.booleans(),
    ),
)


@given(
    record=RECORDS,
    now=st.integers(NOON - 12 * 3_600_000, NOON + 12 * 3_600_000),
    valid=st.integers(-1000, 20 * 3_600_000),
    category=st.sampled_from(["service", "offer"]),
    urgent=st.booleans(),
)
def test_a_push_goes_only_where_all_allows_it_and_never_waits_beyond_its_time(
    record: Subscriber, now: int, valid: int, category: str, urgent: bool
) -> None:
    order = PushOrder(until=now + valid, text="x", category=category, urgent=urgent)  # type: ignore[arg-type]
    decided = pushes.decide(record, order, "p", now, NIGHT)
    own = record.push is not None and record.push.id == "p"
    sent = own and record.push is not None and record.push.sent
    agrees = category == "service" or bool(record.offers_at)
    match decided:
        case Go():
            assert agrees
            assert now < order.until
            assert urgent or NIGHT.end(now) is None
            assert not sent
            assert record.push is None or own or now >= record.push.until
        case Wait(until=until):
            assert until > now
            assert sent or until <= order.until
        case End(result=result):
            assert sent == (result in ("unconfirmed", "unanswered"))
            if not sent:
                assert (result == "no_consent") == (not agrees)
                assert result == "no_consent" or now >= order.until


@given(RECORDS, st.sampled_from(["notify", "ask"]), st.booleans())
def test_what_was_begun_and_not_sent_can_be_taken_back_without_a_trace(
    record: Subscriber, kind: str, cut_off: bool
) -> None:
    before = replace(record, push=None, sessions={"ussd": CUT_OFF} if cut_off else {})
    push = Pushed("p", kind, ACCOUNT, NOON)  # type: ignore[arg-type]
    session = None if kind == "notify" else SESSION
    begun = pushes.begun(before, push, session, "screen", NOON)
    assert begun.push is not None
    assert pushes.taken_back(begun, "another") is begun
    assert pushes.taken_back(begun, "p") == before
    again = pushes.begun(begun, push, session, "screen", NOON + 1)
    assert pushes.taken_back(again, "p") == before


# What comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "said", "result"),
    [
        ("notify", "confirm", "confirmed"),
        ("notify", "drop", "aborted"),
        ("notify", "reply", None),
        ("notify", "dial", None),
        ("ask", "reply", "answered"),
        ("ask", "confirm", "aborted"),
        ("ask", "drop", "aborted"),
        ("ask", "dial", "left"),
    ],
)
def test_what_an_input_means_for_the_push_under_way(kind: str, said: str, result: str | None) -> None:
    assert heard(under_way(kind), said) == result
    assert heard(PLAIN, said) is None


def test_a_code_dialled_before_a_question_was_sent_leaves_it_queued_and_nothing_begun() -> None:
    record = under_way("ask", sent=False)
    assert heard(record, "dial") == ""
    assert record.push is not None
    assert pushes.heard_of(record, pushes.Heard(record.push, "")) == PLAIN


@pytest.mark.parametrize("said", ["confirm", "reply", "drop"])
def test_another_account_knows_nothing_of_the_push(said: str) -> None:
    assert heard(under_way("ask"), said, account="smpp://b@c:1", dialogue="smpp://b@c:1/9") is None


def test_what_repeats_the_exchange_before_the_question_is_that_exchange() -> None:
    last = exchange(NOON, ends=True)
    record = under_way("ask", before=last)
    repeated = {"dialogue": last.dialogue, "sequence": 1}
    assert heard(record, "reply", typed=b"typed", **repeated) is last
    assert heard(record, "reply", typed=b"other", **repeated) == "answered"


def test_what_comes_after_the_time_is_known_to_be_late() -> None:
    over = pushes.over(under_way("ask"), NOON + 1)
    assert over.push is None
    assert pushes.late(over.exchanges["ussd"]) == "p"
    assert pushes.late(exchange()) == ""
    assert pushes.over(under_way("notify"), NOON) == PLAIN


# The documentation ------------------------------------------------------------------------------------------------


def test_the_documentation_tells_every_way_in_which_a_push_ends() -> None:
    told = (DOCS / "push.md").read_text(encoding="utf-8").partition("## How it ends")[2]
    rows = [line.split("|")[1] for line in told.splitlines() if line.startswith("| `")]
    assert {name.strip().strip("`") for row in rows for name in row.split(",")} == set(get_args(Result))


def test_the_flow_in_the_documentation_works() -> None:
    told = (DOCS / "push.md").read_text(encoding="utf-8").partition("## In the flows")[2]
    entries, activated = (block.partition("```")[0] for block in told.split("```yaml\n")[1:3])
    head, shipped = (DOCS.parent / "flows.yaml").read_text(encoding="utf-8").split("\nentries:\n", 1)
    before, after = shipped.split("\n  activated:\n", 1)
    before = "".join(line for line in before.splitlines(keepends=True) if "{push:" not in line)
    thanks = "\n  thanks:\n" + after
    welcome = "\n  welcome:\n    end: {ru: Здравствуйте., en: Welcome.}\n"
    source = f"{head}\n{entries.rstrip()}\n{before}\n{activated.rstrip()}\n{thanks}{welcome}"
    flow = compile_flow(source, "push.md", REGISTRY)
    assert {name: (push.category, push.after_ms, push.within_ms) for name, push in flow.pushes.items()} == {
        "tariffs": ("offer", 0, 3_600_000),
        "balance": ("service", 0, 600_000),
        "welcome": ("service", 120_000, 600_000),
    }


# As it is stored --------------------------------------------------------------------------------------------------


def test_what_an_entry_says_comes_back_as_it_was() -> None:
    order = PushOrder(until=5, kind="ask", screen="offers", urgent=True, campaign="spring")
    stored = pushes.entry(order, "id", 1)
    assert msgspec.json.decode(msgspec.json.encode(stored.data)) == stored.data
    assert pushes.read(stored) == order
