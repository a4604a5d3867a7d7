"""An SMS to a service number is responded to when what it led to is kept, and done once."""

from pathlib import Path

from smpp.constants import Status
from tests.ussd_server.channels.line import Line, fill_the_disk, play, sms


def test_an_sms_that_comes_again_by_another_bind_is_done_once(tmp_path: Path) -> None:
    """The SMSC may have missed our response, though its connection still seems to live."""

    async def story(at: Line) -> None:
        for connection in at.smsc.bound[:2]:
            at.smsc.connection = connection
            await at.hear(sms("balance"), 0)
        turns = at.bench.metrics.turns
        assert (turns["sms", "answered"], turns["sms", "repeated"]) == (1, 1)

    play(tmp_path, story, binds=2)


def test_a_command_that_spans_two_parts_is_one_input(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        for number, piece in ((2, "11"), (1, "1")):
            part = sms(piece, number="2163")
            part.esm_class, part.short_message = 0x40, bytes((5, 0, 3, 9, 2, number)) + part.short_message
            assert await at.bench.journal() == []
            await at.hear(part, 0)
            assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.journal() == ["activated"]
        assert at.bench.metrics.letters == {"whole": 1}

    play(tmp_path, story)


def test_an_input_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        fill_the_disk(at.bench)
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


def test_a_part_that_cannot_be_kept_is_refused_so_that_the_smsc_repeats_it(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        fill_the_disk(at.bench)
        part = sms("1", number="2163")
        part.esm_class, part.short_message = 0x40, bytes((5, 0, 3, 9, 2, 1)) + part.short_message
        await at.hear(part, 0)
        assert at.smsc.responses == {"input": Status.RX_T_APPN}

    play(tmp_path, story)


def test_an_sms_that_comes_when_there_is_too_much_to_do_is_to_come_again_later(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        limit, at.bench.admission.limit = at.bench.admission.limit, 0
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.RTHROTTLED}
        at.bench.admission.limit = limit
        await at.hear(sms("111", number="2163"), 0)
        assert at.smsc.responses == {"input": Status.ROK}
        assert await at.bench.journal() == ["activated"]

    play(tmp_path, story)
