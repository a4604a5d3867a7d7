"""Log lines are whole, hold no secret, and show no subscriber's number."""

import io
import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.log import Format, configure, mask, redact
from ussd_server.secrecy.secrets import Secret

MSISDN = "79101234567"
MASKED = "7910***4567"
CODE = "90417263"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _handlers_of_pytest_live_on() -> None:
    """Set aside what `basicConfig(force=True)` would close; the fixture of all tests puts it back."""
    logging.getLogger().handlers = []


def set_up(style: Format = "json", level: Any = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(level, style, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (MSISDN, MASKED),
        ("+" + MSISDN, MASKED),
        ("380501234567", "3805***4567"),
        ("9101234567", "91***67"),
        ("1234567", "12***67"),
        ("2163", "2163"),
        ("123456", "123456"),
        ("MTS Info", "MTS Info"),
        ("", ""),
        (MASKED, MASKED),
        ("to 79101234567 from +79107654321", "to 7910***4567 from 7910***4321"),
    ],
)
def test_masks_numbers_and_leaves_services(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(st.from_regex(r"[0-9]{7,15}", fullmatch=True))
def test_a_masked_number_hides_at_least_three_digits_and_stays_masked(number: str) -> None:
    shown = mask(number)
    assert number not in shown
    assert len(number) - sum(sign.isdigit() for sign in shown) >= 3
    assert mask(shown) == shown


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("standard", [False, True])
def test_a_line_holds_neither_numbers_nor_secrets(style: Format, standard: bool) -> None:
    stream = set_up(style)
    if standard:
        logging.getLogger("aiohttp.server").error("%s wrote to %s with %s", MSISDN, "2163", Secret(CODE))
    else:
        structlog.get_logger().error(
            f"sent to {MSISDN}",
            msisdn=MSISDN,
            source=int(MSISDN),
            destination="2163",
            seen=[MSISDN, {"msisdn": MSISDN, "code": Secret(CODE)}, (Secret(CODE),)],
            code=Secret(CODE),
            password="hunter2",
            cause=ValueError(f"no route to {MSISDN}, {Secret(CODE)}"),
        )
    shown = stream.getvalue()
    assert MASKED in shown
    assert "2163" in shown
    for hidden in (MSISDN, CODE, "hunter2", "password"):
        assert hidden not in shown
    assert shown.endswith("\n")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("standard", [False, True])
def test_a_traceback_is_redacted_and_shows_no_variables(style: Format, standard: bool) -> None:
    stream = set_up(style)
    logger: Any = logging.getLogger("any") if standard else structlog.get_logger()
    try:
        hidden = "".join(reversed(CODE))
        raise RuntimeError(f"broken for {MSISDN}")
    except RuntimeError:
        logger.exception("turn failed")
    shown = stream.getvalue()
    assert "RuntimeError" in shown
    assert MASKED in shown
    assert MSISDN not in shown
    assert hidden not in shown


def test_json_lines_say_when_in_utc_how_bad_and_what() -> None:
    stream = set_up()
    structlog.get_logger().info("bound", account="main", retries=3)
    logging.getLogger("aiohttp.server").warning("slow %d", 5)
    ours, theirs = lines(stream)
    assert datetime.fromisoformat(ours.pop("time")).utcoffset() == timedelta(0)
    assert datetime.fromisoformat(theirs.pop("time")).utcoffset() == timedelta(0)
    assert ours == {"event": "bound", "level": "info", "account": "main", "retries": 3}
    assert theirs == {"event": "slow 5", "level": "warning", "logger": "aiohttp.server"}


def test_dropped_fields_are_gone_and_the_rest_stays_as_it_was() -> None:
    event = {
        "event": "x",
        "at": 1763881200000,
        "ok": True,
        "none": None,
        "rate": 1.5,
        "pin": 1234,
        "to": {"Token": "t"},
        "code": Secret(CODE),
        "codes": [Secret(CODE)],
    }
    assert redact(None, "info", event) == {
        "event": "x",
        "at": 1763881200000,
        "ok": True,
        "none": None,
        "rate": 1.5,
        "to": {},
        "codes": [],
    }


def test_endless_structures_are_cut() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "..." in str(redact(None, "info", {"loop": loop}))


def test_ids_with_digits_are_left_alone() -> None:
    event = {"event": "order", "id": "a79101234567b", "order": "5f0c9a1e79101234567-3"}
    assert redact(None, "info", dict(event)) == event


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_says_only_what_is_important_enough(level: str) -> None:
    stream = set_up(level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), each)("ours")
        getattr(logging.getLogger("any"), each)("theirs")
    order = ["debug", "info", "warning", "error"]
    assert [line["level"] for line in lines(stream)] == [each for each in order[order.index(level) :] for _ in "ab"]


def test_requests_are_not_logged() -> None:
    stream = set_up()
    logging.getLogger("aiohttp.access").info("GET /subscribers/%s", MSISDN)
    assert stream.getvalue() == ""


def test_colours_are_for_terminals_alone() -> None:
    terminal = Terminal()
    for stream, style, coloured in [
        (terminal, "auto", True),
        (io.StringIO(), "console", False),
        (io.StringIO(), "auto", False),
    ]:
        configure("info", style, stream)  # type: ignore[arg-type]
        structlog.get_logger().info("started")
        assert ("\x1b[" in stream.getvalue()) == coloured


def test_nothing_is_coloured_where_nobody_wants_colours() -> None:
    terminal = Terminal()
    configure(stream=terminal, colours=False)
    structlog.get_logger().info("started")
    assert "started" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


def test_auto_is_json_where_nobody_looks() -> None:
    stream = set_up("auto")
    structlog.get_logger().info("started")
    assert lines(stream)[0]["event"] == "started"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_text_from_outside_cannot_begin_a_line_of_its_own(style: Format) -> None:
    stream = set_up(style)
    forged = "x\nERROR forged\x1b[2J\r\x85"
    structlog.get_logger().info("bound", system_id=forged)
    logging.getLogger("aiohttp.server").error("bad request %s", forged)
    for line in stream.getvalue().split("\n")[:-1]:
        assert line.isprintable()
    assert stream.getvalue().count("\n") == 2


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "reader gone"])
def test_a_line_that_cannot_be_written_stops_nobody(closed: bool) -> None:
    """Who logs goes on where the log's stream is gone: answers to subscribers and terminals do not depend on it."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    stream = io.StringIO() if closed else Gone()
    configure("info", "json", stream)
    if closed:
        stream.close()
    structlog.get_logger().error("store unavailable", cause="the disk is away")
