"""What breaks in a turn is answered politely, and the log tells what is known of what was changed."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from menus.phrases import PHRASES
from smpp.reassembly import Mark, Part
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.channels.base import Answer
from ussd_server.outage import AGAIN_MS
from ussd_server.stores.base import Change, PerhapsDone, StoreUnavailable, Told, Unsure, tell_soon


@pytest.mark.parametrize("failure", [StoreUnavailable("disk full"), ValueError("a defect")])
def test_what_cannot_be_kept_is_refused_politely_and_works_again_later(tmp_path: Path, failure: Exception) -> None:
    async def story(at: Bench) -> None:
        commit = at.store.commit

        async def failing(change: Change) -> bool:
            at.store.commit = commit  # type: ignore[method-assign]
            raise failure

        at.store.commit = failing  # type: ignore[method-assign]
        refused = await at.dial("*111*2163#")
        assert (refused.durable, refused.ends) == (False, True)
        assert refused.text
        assert not (await at.store.load(MSISDN))[0].active
        assert (await at.dial("*111*2163#")).text == "Activated."

    play(tmp_path, story)


BROKEN, UNSURE = PHRASES["broken"], PHRASES["unsure"]
CAUSES = [
    (StoreUnavailable("never sent"), BROKEN),
    (PerhapsDone("no answer"), UNSURE),
    (Unsure("another went on"), UNSURE),
    (ValueError("a defect"), UNSURE),
]
"""What a commit may raise, and what is then said."""


@pytest.mark.parametrize(("cause", "said"), CAUSES, ids=lambda one: type(one).__name__)
def test_only_where_nothing_was_done_for_certain_a_subscriber_reads_that_it_broke(
    tmp_path: Path, cause: Exception, said: Mapping[str, str]
) -> None:
    """In their own language: what was committed before tells it."""

    async def story(at: Bench) -> None:
        commit = at.store.commit

        async def failing(change: Change) -> bool:
            raise cause

        for language in ("en", "ru"):
            record, version = await at.store.load(MSISDN)
            assert await commit(Change(version, replace(record, language=language)))
            at.store.commit = failing  # type: ignore[method-assign]
            assert await at.dial("*111#") == Answer(said[language], durable=False)
            del at.store.commit

    play(tmp_path, story)


def test_of_what_may_have_been_kept_is_not_said_that_it_broke_where_nobody_can_look_for_it(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def unsure(change: Change) -> bool:
            at.store.load = away  # type: ignore[method-assign]
            raise Unsure("another went on")

        async def away(msisdn: str, latest: bool = False) -> Any:
            raise StoreUnavailable("away")

        at.store.commit = unsure  # type: ignore[method-assign]
        assert (await at.dial("*111#")).text == UNSURE["en"]
        assert (await at.dial("*111#")).text == BROKEN["en"]  # nothing was loaded that could have been changed

    play(tmp_path, story)


@pytest.mark.parametrize("written", [True, False])
def test_of_what_broke_in_its_commit_is_not_said_that_it_changed_nothing(tmp_path: Path, written: bool) -> None:
    async def story(at: Bench) -> None:
        def breaking(commit: Callable[[Change, Told], None], change: Change, told: Told) -> None:
            if written:
                commit(change, lambda _: told(ValueError("a defect")))
            else:
                tell_soon(told, ValueError("a defect"))

        at.store.commit_then = partial(breaking, at.store.commit_then)  # type: ignore[method-assign]
        at.outbox.commit_then = partial(breaking, at.outbox.commit_then)  # type: ignore[method-assign]
        with capture_logs() as logs:
            await at.dial("*111#")
            await at.text("2163", "111")
            await at.text("2163", "", part=Part(MSISDN, "2163", Mark("udh8", 1, 2, 1), b"111", "gsm"))
        assert [line["event"] for line in logs] == ["turn failed, perhaps committed"] * 3
        assert {str(line["exc_info"].__cause__) for line in logs} == {"a defect"}
        assert (at.metrics.turns["ussd", "failed"], at.metrics.turns["sms", "failed"]) == (1, 2)

    play(tmp_path, story)


def test_of_what_may_have_been_kept_is_not_said_that_it_was_not_where_looking_for_it_breaks(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def unsure(change: Change) -> bool:
            at.store.load = breaking  # type: ignore[method-assign]
            raise Unsure("the connection broke")

        async def breaking(msisdn: str, latest: bool = False) -> Any:
            raise ValueError("a defect")

        at.store.commit = unsure  # type: ignore[method-assign]
        with capture_logs() as logs:
            assert not (await at.dial("*111#")).durable
        assert [line["event"] for line in logs] == ["turn failed, perhaps committed"]

    play(tmp_path, story)


def test_an_outage_of_the_store_is_said_once_however_long_its_inputs_had_waited(tmp_path: Path) -> None:
    async def story(at: Bench) -> None:
        async def away(change: Change) -> bool:
            raise StoreUnavailable("away")

        at.store.commit = away  # type: ignore[method-assign]
        with capture_logs() as logs:
            for waited in (0, 2 * AGAIN_MS, 0, 2 * AGAIN_MS):
                await at.dial("*111#", at=at.now - waited)
        assert [line["event"] for line in logs] == ["store unavailable, input refused"]

    play(tmp_path, story)
