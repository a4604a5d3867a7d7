"""A report is read on a terminal of 80 columns: nothing is cut, and no figure or word is broken."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import measured, peers, report
from benchmarks.access import CHECK_WIDTHS, SESSION_PATHS, SESSION_WIDTHS, Beside, Checks, Lag, Requests
from benchmarks.measured import MB, Memory, Rate, Report
from benchmarks.micro import ENCODE, ENCODE_SMPPLIB, PARSE, PARSE_SMPPLIB, Micro
from benchmarks.million import Full, Side
from benchmarks.on_redis import BESIDE_FULL, BESIDE_TWO, FULL, ONE, TWO, Footprint, OnRedis
from benchmarks.peers import KANNEL, OURS, SPOOLED, Run
from benchmarks.tables import Sheet

BOXES = {"bearerbox": 131.4, "smsbox": 157.2, "page": 21.0}
RUNS = [
    run
    for width in peers.WIDTHS
    for run in (
        Run(OURS, width, 12_345.6, 114.48, 144.18, {"server": 126.0}, 61.2),
        Run(KANNEL, width, 3_515.0, 222.03, 1_274.52, BOXES, 492.0),
        Run(SPOOLED, width, 1_057.0, 670.55, 1_832.82, BOXES, 492.0),
    )
]


def whole_report() -> Report:
    """Return a report of every part, with figures as wide as they come."""
    on_redis = OnRedis(ONE, 256, 12_345.6, 120.34, 1_240.56, 80.1, 20.2, 1_234.0, 12_345.0)
    whole = Report(
        {"CPU": "Intel(R) Xeon(R) Processor, 2 cores used", "commit": "40299ed"},
        measured.FULL,
        [
            Rate(who, width, 123_456.7, 12.34, 123.45, 123.4, 0.99, 12.3)
            for who in ("yardstick", "link", "server")
            for width in measured.WIDTHS
        ],
        Memory(100_000, 90 * MB, 190 * MB),
        Full(1_000_000, 10**9, [(Side(25_000.0, 38.0), Side(24_000.0, 39.0))] * 5),
        [
            Micro("the wire of a step, no socket, no turn", 5.12, "octets to input, answer to octets, response"),
            *(Micro(what, 123.45) for what in (PARSE, ENCODE)),
            *(Micro(what, 1_234.56, "to compare; the same octets") for what in (PARSE_SMPPLIB, ENCODE_SMPPLIB)),
        ],
        on_redis=[replace(on_redis, who=who) for who in (ONE, TWO, BESIDE_TWO, FULL, BESIDE_FULL)],
        footprint=Footprint(1_000_000, 1_234.0, 1_345.0, 1_456.0, 345.0),
    )
    for width in CHECK_WIDTHS:
        whole.add(Checks(width, 80.1, 345.6, 456.7, 90.1, Lag(12_345, 12.8)))
    for pace in (0.0, 2_000.0):
        whole.add(Beside(pace, 12_345.0, 12.34, 10_345.0, 123.45, 80.1, Lag(12_345, 12.8)))
    for path in SESSION_PATHS:
        for width in SESSION_WIDTHS:
            whole.add(Requests(path, width, 2_345.0, 12.34, 123.45, 345.0, 0.99, 345.0))
    return whole


@pytest.mark.parametrize("sheet", [*report.tables(whole_report()), *peers.tables(RUNS)], ids=lambda sheet: sheet.title)
def test_every_table_fits_80_columns_with_its_words_and_figures_whole(sheet: Sheet) -> None:
    printed = io.StringIO()
    sheet.show(Console(file=printed, width=80))
    text = printed.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    shown = set(text.split())
    for cell in (sheet.title, *sheet.head, *(cell for row in sheet.rows for cell in row)):
        assert set(cell.split()) <= shown, text
    assert sheet.markdown()[2].count("|") == len(sheet.head) + 1


def test_of_the_whole_report_every_table_was_shown() -> None:
    assert len(report.tables(whole_report())) == 9
    assert [sheet.title for sheet in report.tables(Report({}, measured.FULL))] == []


def test_peers_are_set_beside_each_other_at_each_width_at_which_both_were_measured() -> None:
    sheet = next(sheet for sheet in peers.tables(RUNS[:-1]) if sheet.title == "The server beside Kannel at each width")
    beside = [(peer, str(width)) for peer in (KANNEL, SPOOLED) for width in peers.WIDTHS]
    assert [row[:2] for row in sheet.rows] == beside[:-1]
    assert sheet.rows[0] == (KANNEL, "1", "12,346", "3,515", "3.51", "126", "289", "0.44")
    assert f"| {' | '.join(sheet.rows[0])} |" in peers.markdown({}, RUNS)
    assert peers.at_each_width(RUNS[:1]) == []
