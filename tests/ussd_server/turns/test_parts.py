"""A part of a long SMS is answered when it is kept, whatever breaks behind that."""

from pathlib import Path

from structlog.testing import capture_logs

from smpp.reassembly import Mark, Part
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.base import Answer


def test_a_part_that_is_kept_is_answered_also_where_it_cannot_be_counted(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        at.metrics.letters = None  # type: ignore[assignment]
        with capture_logs() as logs:
            for number, octets in ((1, b"11"), (2, b"1")):
                part = Part(MSISDN, "2163", Mark("udh8", 1, 2, number), octets, "gsm")
                assert await at.text("2163", "", part=part) == Answer(None)
        assert [line["event"] for line in logs] == ["turn not counted"]
        assert await at.journal() == ["activated"]

    play(tmp_path, story)
