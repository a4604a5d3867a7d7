"""An account follows its gateway's dialect in what is not the spelling of a message."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smpp import ussd
from smpp.alphabets import choose
from smpp.constants import CommandId, Tag
from smpp.pdu import Message
from tests.ussd_server.channels.test_gateway import Line, play
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.channels.ussd import smallest
from ussd_server.dialects.files import load


def test_a_screen_holds_what_every_gateway_takes(tmp_path: Path) -> None:
    small, narrow = tmp_path / "small.yaml", tmp_path / "narrow.yaml"
    small.write_text("base: standard\ntext: {septets: 100}\n", encoding="utf-8")
    narrow.write_text("base: standard\ntext: {ucs2_units: 60}\n", encoding="utf-8")
    fits = smallest(182, 70, ["tata", str(small), str(narrow)]).fits
    assert fits is not None
    texts = ("x" * 100, "x" * 101, "ж" * 60, "ж" * 61)
    assert [fits(text) for text in texts] == [True, False, True, False]
    fits = smallest(182, 70, ["tata"]).fits
    assert fits is not None
    assert [fits(text) for text in ("x" * 182, "x" * 183, "ж" * 70, "ж" * 71)] == [True, False, True, False]


def deliver(op: int, session: dict[int, bytes], text: str = "*111#") -> Message:
    return Message(
        CommandId.DELIVER_SM,
        service_type="USSD",
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=MSISDN,
        destination_addr="111",
        short_message=text.encode("ascii"),
        tlvs={Tag.USSD_SERVICE_OP: bytes((op,)), **session},
    )


def test_nothing_is_shown_after_an_answer_that_closed_the_dialogue(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        session = {0x1501: b"\0\0\0\7"}
        await at.hear(deliver(0x01, session), 1)
        with capture_logs() as logged:
            await at.hear(deliver(0x92, session, "1"), 1)
        assert "not shown, the gateway had closed the dialogue" in [line["event"] for line in logged]
        assert at.bench.metrics.turns["ussd", "answered"] == 2
        # The next code begins anew.
        await at.hear(deliver(0x01, {0x1501: b"\0\0\0\10"}), 2)
        assert len(at.smsc.submitted) == 2

    play(tmp_path, story, dialect="comverse")


def test_a_gateways_own_status_is_logged_with_what_it_means(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        at.smsc.statuses = [0x407]
        with capture_logs() as logged:
            await at.hear(deliver(0x01, {Tag.USER_MESSAGE_REFERENCE: b"\0\7"}), 1)
            await at.until(lambda: bool(at.bench.metrics.pdu_errors["out", "ussd answer lost"]))
        (lost,) = [line for line in logged if line["event"] == "USSD answer lost"]
        assert lost["cause"] == "0x00000407, dialogue not found"

    play(tmp_path, story, dialect="sibinco")


@pytest.mark.parametrize(("name", "op", "logs"), [("standard", 0x77, 1), ("standard", 0x01, 0)])
def test_an_operation_that_the_dialect_lacks_is_logged_and_served(
    tmp_path: Path, name: str, op: int, logs: int
) -> None:
    async def story(at: Line) -> None:
        with capture_logs() as logged:
            assert len(await at.hear(deliver(op, {Tag.ITS_SESSION_INFO: b"\7\0"}), 1)) == 1
        told = [line for line in logged if line["event"] == "operation that the dialect does not name"]
        assert [(line["dialect"], line["sign"]) for line in told] == [(name, f"op 0x{op:02X}")] * logs

    play(tmp_path, story, dialect=name)


def test_an_unknown_operation_goes_on_with_a_dialogue_that_lives(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        session = {Tag.ITS_SESSION_INFO: b"\7\0"}
        (menu,) = await at.hear(deliver(0x77, session), 1)
        _, tariffs = await at.hear(deliver(0x77, {Tag.ITS_SESSION_INFO: b"\7\2"}, "1"), 2)
        assert tariffs != menu

    play(tmp_path, story)


@pytest.mark.parametrize(("options", "coding"), [({}, 0x0F), ({"ussd_gsm": 0xF1}, 0xF1)])
def test_screens_have_the_data_coding_of_the_dialect_but_for_what_the_url_says(
    tmp_path: Path, options: dict[str, int], coding: int
) -> None:
    async def story(at: Line) -> None:
        await at.hear(ussd.dial(MSISDN, "111", choose("*111#"), session=0, dialect=load("no-id")), 1)
        assert at.smsc.submitted[0].data_coding == coding

    play(tmp_path, story, dialect="no-id", **options)
