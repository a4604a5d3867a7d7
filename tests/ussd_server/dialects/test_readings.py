"""A recorded message of every gateway is recognised as what it is."""

import pytest

from tests.ussd_server.dialects.recording import RECORDINGS, read
from ussd_server.dialects.files import load, shipped
from ussd_server.dialects.readings import message_of, readings

ALIKE = {"standard": {"huawei"}, "tata": {"standard"}, "sixdee": {"standard"}, "mica": {"sibinco"}}
"""Dialects whose first message says as much in another one; which it is shows later."""


@pytest.mark.parametrize("name", shipped())
def test_the_dialect_of_a_recording_is_among_the_first(name: str) -> None:
    recording = read(RECORDINGS / f"{name}.txt")
    begin = next(block for block in recording.blocks if block.act.startswith("dial"))
    found = readings(message_of(begin.octets), [load(each) for each in shipped()])
    best = {reading.dialect for reading in found if reading.explains == found[0].explains}
    assert name in best
    assert ALIKE.get(name, set()) <= best
    meant = next(reading for reading in found if reading.dialect == name)
    assert meant.meaning == f"dialled {begin.act.split()[1]}"
    assert [reading.explains for reading in found] == sorted((reading.explains for reading in found), reverse=True)


def test_who_is_alone_is_alone() -> None:
    for name in ("comverse", "huawei-service-type", "two-letter", "no-id", "data-sm"):
        begin = read(RECORDINGS / f"{name}.txt").blocks[0]
        found = readings(message_of(begin.octets), [load(each) for each in shipped()])
        assert found[0].dialect == name
        assert found[1].explains < found[0].explains


@pytest.mark.parametrize(
    ("name", "act", "meaning"),
    [
        ("standard", "answer 1 session 17 count 1", "answered '1'"),
        ("standard", "abort cancel session 18 count 1", "the dialogue is over"),
        ("sibinco", "confirm session 774", "a notification was shown, and all is over"),
        ("comverse", "confirm session 4", "a notification was shown"),
        ("comverse", "answer 1 session 4", "answered '1'"),
    ],
)
def test_each_step_is_said_in_words(name: str, act: str, meaning: str) -> None:
    block = next(block for block in read(RECORDINGS / f"{name}.txt").blocks if block.act == act)
    assert readings(message_of(block.octets), [load(name)])[0].meaning == meaning


def test_what_no_dialect_names_explains_nothing() -> None:
    block = next(block for block in read(RECORDINGS / "standard.txt").blocks if "op_known=False" in block.heard)
    (found,) = readings(message_of(block.octets), [load("standard")])
    assert found == ("standard", "op 0x77 is none of its steps; '*100#' goes on, or begins", "1700", 0)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\0", "this is no whole PDU: 1 octets are less than a header"),
        (bytes.fromhex("00000010 00000015 00000000 00000001"), "this is no deliver_sm and no data_sm"),
    ],
)
def test_what_is_no_message_is_refused(octets: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        message_of(octets)
