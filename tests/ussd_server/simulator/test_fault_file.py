"""A script of faults is read whole, and each of its mistakes is named with its place and its mend."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.simulator.fault_file import FaultErrors, load, parse
from ussd_server.simulator.faults import KINDS, Fault, Script, Step

WHOLE = """
repeat: 2
faults:
  - fault: drop
  - {after: 3 messages, fault: throttle, for: 5 s, rate: 2, status: 0x14, only: sms}
  - {after: 1 message, fault: throttle, for: 2 min}
  - {after: 500 ms, fault: refuse, status: ESME_RSYSERR, messages: 3}
  - {fault: refuse, status: rx_t_appn, for: 1 s}
  - {fault: delay, for: 10 s, by: 2 s}
  - {fault: duplicate, messages: 4}
  - {fault: reorder, messages: 3}
  - {fault: garbage, octets: "ff 00"}
  - {fault: half, for: 200 ms}
  - {fault: slow, for: 1 s}
  - {fault: silent, for: 60 min}
"""


def mistakes(content: str) -> list[str]:
    with pytest.raises(FaultErrors) as caught:
        parse(content, "day.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_every_kind_is_read() -> None:
    script = parse(WHOLE, "day.yaml")
    assert script == Script(
        (
            Step(Fault("drop")),
            Step(Fault("throttle", for_ms=5_000, rate=2, status=0x14, only="sms"), after_messages=3),
            Step(Fault("throttle", for_ms=120_000, status=0x58), after_messages=1),
            Step(Fault("refuse", messages=3, status=0x08), after_ms=500),
            Step(Fault("refuse", for_ms=1_000, status=0x64)),
            Step(Fault("delay", for_ms=10_000, by_ms=2_000)),
            Step(Fault("duplicate", messages=4)),
            Step(Fault("reorder", messages=3)),
            Step(Fault("garbage", octets="ff00")),
            Step(Fault("half", for_ms=200)),
            Step(Fault("slow", for_ms=1_000)),
            Step(Fault("silent", for_ms=3_600_000)),
        ),
        2,
    )
    assert {step.fault.kind for step in script.steps} == set(KINDS)
    assert parse("repeat: for ever\nfaults: [{after: 1 s, fault: drop}]", "day.yaml").rounds == 0


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "day.yaml"
    file.write_text(WHOLE)
    assert load(file) == parse(WHOLE, "day.yaml")
    file.write_text("faults: [{fault: dorp}]")
    with pytest.raises(FaultErrors, match=r"day\.yaml:1:18"):
        load(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "1:1: faults is a list of what happens; as faults: [{after: 3 messages, fault: drop}]"),
        ("faults: 3", "1:9: faults is a list of what happens; as faults: [{after: 3 messages, fault: drop}]"),
        ("fault: x\nfaults: [{fault: drop}]", "1:1: unknown key 'fault'; did you mean 'faults'?"),
        ("faults:\n  - drop", "2:5: a fault is missing; as {fault: drop}; there are " + ", ".join(KINDS)),
        ("faults: [{fault: throtle}]", "1:18: fault: 'throtle' is not known; did you mean 'throttle'?"),
        ("faults: [{fault: silent}]", "1:10: for: silent needs it; silent reads everything and writes nothing"),
        ("faults: [{fault: silent, for: 5}]", "1:31: for: 5 is not a time; as 500 ms, 5 s or 2 min, up to 60 min"),
        ("faults: [{fault: silent, for: 61 min}]", "1:31: for: '61 min' is not a time"),
        ("faults: [{fault: silent, for: }]", "1:26: for: None is not a time"),
        ("faults: [{fault: drop, for: 1 s}]", "1:29: for: drop has no such thing; drop cuts the connection"),
        ("faults: [{fault: drop, fro: 1 s}]", "1:24: unknown key 'fro'"),
        ("faults: [{fault: drop, after: soon}]", "1:31: after: 'soon' is not a moment; as 10 s, or 3 messages"),
        ("faults: [{fault: drop, after: 0 messages}]", "1:31: after: '0 messages' is not a moment; 1 to"),
        ("faults: [{fault: refuse, messages: 1}]", "1:10: status: refuse needs it"),
        ("faults: [{fault: refuse, status: 8}]", "1:10: for: refuse lasts for a time or for so many messages"),
        (
            "faults: [{fault: refuse, status: RSYSER, messages: 1}]",
            "1:34: status: 'RSYSER' is not a command_status; did",
        ),
        ("faults: [{fault: refuse, status: 0, messages: 1}]", "1:34: status: 0 is not a command_status; as 0x58"),
        ("faults: [{fault: refuse, status: 8, messages: 0}]", "1:47: messages: 0 is not a number that it can be"),
        ("faults: [{fault: reorder, messages: 51}]", "1:37: messages: it is from 1 to 50"),
        ("faults: [{fault: throttle, for: 1 s, only: mms}]", "1:44: only: 'mms' is not known"),
        ("faults: [{fault: garbage, octets: xy}]", "1:35: octets: 'xy' is not octets in hex; in quotes, as"),
        ("faults: [{fault: garbage, octets: 1200}]", "1:35: octets: 1200 is not octets in hex; in quotes, as"),
        ("repeat: often\nfaults: [{fault: drop}]", "1:9: repeat: 'often' is not how often; a number up to"),
        ("repeat: for ever\nfaults: [{fault: drop}]", "1:9: repeat: all would happen at once, for ever; give one"),
    ],
)
def test_a_mistake_has_its_place_and_its_mend(content: str, said: str) -> None:
    (mistake,) = mistakes(content)
    assert mistake.startswith(f"day.yaml:{said}"), mistake


def test_what_is_no_yaml_is_named_as_in_a_flow_file() -> None:
    (mistake,) = mistakes("faults: [{fault: drop")
    assert mistake.startswith("day.yaml:1:")


def test_all_mistakes_are_named_at_once() -> None:
    found = mistakes("repeat: x\nfaults:\n  - fault: dorp\n  - {fault: slow}\n  - {fault: slow, for: x, by: y}\n")
    assert [mistake.split(": ")[0] for mistake in found] == [
        f"day.yaml:{place}" for place in ("1:9", "3:12", "4:5", "5:24", "5:31")
    ]


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_whatever_the_file_holds_there_is_a_script_or_a_mistake(content: str | bytes) -> None:
    for whole in (content, content + b"\n" if isinstance(content, bytes) else f"faults: [{{fault: {content}}}]"):
        with suppress(FaultErrors):  # nothing else may come out
            assert parse(whole, "day.yaml").steps
