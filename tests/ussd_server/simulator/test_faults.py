"""When faults begin, how long they last, and what they do to messages, by a clock that the test holds."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from smpp.constants import Status
from ussd_server.simulator.faults import (
    FORMS,
    KINDS,
    MOST_HELD,
    MOST_MS,
    MOST_OCTETS,
    NAMES,
    USUAL,
    Fault,
    Faults,
    Going,
    Script,
    Step,
    usual,
    wrong_with,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "simulator.md"
BEGIN, END = "test_faults.py prints it when it differs -->\n", "\n<!-- end of faults -->"
START = 1_000_000
STATES = ("delay", "duplicate", "throttle", "refuse", "silent")
FIELDS = {"for_ms": 5_000, "by_ms": 100, "messages": 2, "rate": 3, "status": 0x45, "only": "sms", "octets": "00ff"}

kinds = st.sampled_from(KINDS)
steps = st.builds(
    Step,
    st.sampled_from([Fault("drop"), Fault("silent", for_ms=50), Fault("refuse", status=8, messages=2)]),
    st.integers(0, 100),
    st.integers(0, 3),
)


def whole(kind: str) -> Fault:
    """Return a fault of a kind with all that it may have."""
    form = FORMS[kind]  # type: ignore[index]
    names = (*form.needs, *form.takes, *form.spans[:1])
    return Fault(kind, **{name: FIELDS[name] for name in names})  # type: ignore[arg-type]


def test_a_fault_with_all_that_it_takes_can_be() -> None:
    assert [wrong_with(whole(kind)) for kind in KINDS] == [None] * len(KINDS)


@given(kinds, st.sampled_from(sorted(FIELDS)))
def test_a_field_that_is_missing_or_too_much_is_named(kind: str, name: str) -> None:
    fault = whole(kind)
    form = FORMS[kind]  # type: ignore[index]
    without = Fault(kind, **{key: FIELDS[key] for key in form.needs if key != name})  # type: ignore[arg-type]
    if name in form.needs:
        assert wrong_with(without) == (name, f"{kind} needs it")
    elif name not in (*form.takes, *form.spans):
        wrong = wrong_with(
            Fault(**{**{key: getattr(fault, key) for key in fault.__struct_fields__}, name: FIELDS[name]})
        )
        assert wrong == (name, f"{kind} has no such thing")


def test_what_is_too_much_is_refused() -> None:
    for fault, name in (
        (Fault("silent", for_ms=MOST_MS + 1), "for_ms"),
        (Fault("silent", for_ms=-1), "for_ms"),
        (Fault("delay", for_ms=1, by_ms=60_001), "by_ms"),
        (Fault("reorder", messages=MOST_HELD + 1), "messages"),
        (Fault("throttle", for_ms=1, rate=1_001), "rate"),
        (Fault("refuse", status=1 << 32, messages=1), "status"),
        (Fault("refuse", status=8), "for_ms"),
        (Fault("refuse", status=8, for_ms=1, messages=1), "for_ms"),
        (Fault("garbage", octets="f"), "octets"),
        (Fault("garbage", octets="00" * (MOST_OCTETS + 1)), "octets"),
    ):
        wrong = wrong_with(fault)
        assert wrong is not None, fault
        assert wrong[0] == name


def test_what_nobody_said_is_as_usual() -> None:
    assert usual(Fault("throttle", for_ms=1)).status == Status.RTHROTTLED
    assert usual(Fault("throttle", for_ms=1, status=0x14)).status == Status.RMSGQFUL
    assert usual(Fault("reorder")).messages == 2
    assert len(bytes.fromhex(usual(Fault("garbage")).octets)) == 16


def as_table() -> str:
    """Return the faults as the documentation has them."""
    rows = ["| fault | what it does | needs | may have |", "|---|---|---|---|"]
    for kind, form in FORMS.items():
        needs = [f"`{NAMES[name]}`" for name in form.needs]
        needs += [" or ".join(f"`{NAMES[name]}`" for name in form.spans)] * bool(form.spans)
        values = USUAL.get(kind, {})
        shown = {"status": "{:#x}", "octets": "{}"}
        may = [
            f"`{NAMES[name]}`" + (f" ({shown.get(name, '{}').format(values[name])})" if name in values else "")
            for name in form.takes
        ]
        rows.append(f"| `{kind}` | {form.does} | {', '.join(needs)} | {', '.join(may)} |")
    return "\n".join(rows)


def test_the_documentation_names_every_fault() -> None:
    """Where it fails, the right table is in the message: copy it between the marks."""
    found = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert found == as_table(), f"\n{as_table()}\n"


# When -------------------------------------------------------------------------------------------------------------


def test_a_script_counts_messages_and_time_from_the_fault_before() -> None:
    cut, mute = Fault("drop"), Fault("silent", for_ms=500)
    faults = Faults(Script((Step(cut, after_messages=2), Step(mute, after_ms=100), Step(cut, after_messages=1))))
    faults.start(START)
    assert (faults.timer(), faults.tick(START + 9_000)) == (None, [])
    assert (faults.message(START + 9_000), faults.message(START + 9_001)) == ([], [cut])
    assert faults.timer() == START + 9_101
    assert faults.message(START + 9_050) == []
    assert faults.tick(START + 9_101) == [mute]
    assert faults.timer() is None
    assert faults.message(START + 9_102) == [cut]
    assert [faults.message(START + 10_000 + at) for at in range(5)] == [[]] * 5


def test_a_script_is_played_as_often_as_it_says() -> None:
    step = Step(Fault("drop"), after_messages=2)
    for rounds, begun in ((1, 1), (3, 3), (0, 10)):
        faults = Faults(Script((step,), rounds))
        faults.start(START)
        assert sum(len(faults.message(START)) for _ in range(20)) == begun


def test_faults_without_a_wait_begin_together_and_an_endless_script_of_them_ends_a_turn() -> None:
    script = (Step(Fault("drop")), Step(Fault("garbage")))
    once = Faults(Script(script))
    once.start(START)
    assert [fault.kind for fault in once.tick(START)] == ["drop", "garbage"]
    assert once.tick(START) == []
    endless = Faults(Script(script, 0))
    endless.start(START)
    assert len(endless.tick(START)) == 2


@given(st.lists(steps, max_size=5), st.integers(0, 3), st.lists(st.integers(0, 200), max_size=30))
def test_faults_begin_in_their_order_each_when_it_is_its_turn(
    script: list[Step], rounds: int, waits: list[int]
) -> None:
    faults = Faults(Script(tuple(script), rounds))
    now = START
    faults.start(now)
    begun = []
    for wait in waits:
        due = faults.timer()
        now += wait
        begun += faults.tick(now) if wait % 2 else faults.message(now)
        assert due is None or faults.timer() is None or faults.timer() >= due
    expected = [step.fault for step in script] * (rounds or len(waits))
    assert begun == expected[: len(begun)]


# What -------------------------------------------------------------------------------------------------------------


def test_a_state_of_the_network_lasts_its_time_and_the_rest_happens_to_a_connection() -> None:
    faults = Faults()
    assert [kind for kind in KINDS if faults.begin(whole(kind), START)] == list(STATES)
    assert {going.kind for going in faults.going(START)} == set(STATES)
    assert (faults.silent(START + 4_999), faults.delay_ms(START + 4_999)) == (True, 100)
    assert faults.timer() == START + 5_000
    assert faults.tick(START + 5_000) == []
    assert (faults.silent(START + 5_000), faults.delay_ms(START + 5_000)) == (False, 0)
    assert faults.going(START + 5_000) == ()


def test_the_same_again_takes_the_place_of_the_first() -> None:
    faults = Faults()
    faults.begin(Fault("silent", for_ms=1_000), START)
    faults.begin(Fault("silent", for_ms=100), START + 10)
    assert faults.going(START + 10) == (Going("silent", START + 110),)
    faults.calm()
    assert faults.going(START + 10) == ()


def test_a_throttle_lets_its_rate_through_in_any_second() -> None:
    faults = Faults()
    faults.begin(usual(Fault("throttle", for_ms=10_000, rate=2)), START)
    moments = [0, 10, 20, 999, 1_000, 1_005, 1_010, 2_000]
    taken = [moment for moment in moments if not faults.refusal(False, START + moment)]
    assert taken == [0, 10, 1_000, 1_010, 2_000]
    assert faults.refusal(False, START + 2_001) == Status.RTHROTTLED
    assert faults.refusal(False, START + 10_000) == 0


def test_a_refusal_is_for_those_whom_it_concerns_and_for_so_many() -> None:
    faults = Faults()
    faults.begin(Fault("refuse", status=0x45, messages=2, only="sms"), START)
    assert [faults.refusal(ussd, START) for ussd in (True, False, True, False, False)] == [0, 0x45, 0, 0x45, 0]
    faults.begin(Fault("throttle", for_ms=100, status=0x14, only="ussd"), START)
    assert [faults.refusal(ussd, START) for ussd in (True, False)] == [0x14, 0]


def test_so_many_messages_are_doubled() -> None:
    faults = Faults()
    faults.begin(Fault("duplicate", messages=2), START)
    assert faults.going(START) == (Going("duplicate", left=2),)
    assert [faults.doubles(START) for _ in range(4)] == [True, True, False, False]
