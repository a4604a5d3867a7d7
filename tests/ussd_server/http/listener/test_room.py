"""Too many connections are closed as they come, and a stop closes what rests and waits for what is under way."""

import asyncio
from collections.abc import Callable

import pytest

from tests.ussd_server.http.listener.served import REQUEST, Served, answer, closed


def test_more_connections_than_there_is_room_for(serve: Callable[..., None]) -> None:
    """They are closed as they come; who is there is served on, and who leaves makes room."""

    async def story(served: Served) -> None:
        held = [await served.connect() for _ in range(3)]
        for reader, writer in held:
            writer.write(REQUEST % b"")
            assert await answer(reader) == b"quick"
        turned_away, other = await served.connect()
        assert await closed(turned_away)
        other.close()
        for reader, writer in held:
            writer.write(REQUEST % b"")
            assert await answer(reader) == b"quick"
        held[0][1].write_eof()
        assert await closed(held[0][0])
        reader, writer = await served.connect()
        writer.write(REQUEST % b"")
        assert await answer(reader) == b"quick"
        for _, each in [*held, (reader, writer)]:
            each.close()

    serve(story, most=3)


def test_a_stop_closes_what_rests_and_waits_for_what_is_under_way(serve: Callable[..., None]) -> None:
    async def story(served: Served) -> None:
        resting, first = await served.connect()
        first.write(REQUEST % b"")
        assert await answer(resting) == b"quick"
        mute, second = await served.connect()
        busy, third = await served.connect()
        third.write(REQUEST % b"slow")
        await served.entered.wait()
        stopped = asyncio.ensure_future(served.listener.stop())
        assert await closed(resting)
        assert await closed(mute)
        with pytest.raises(ConnectionError):
            await served.connect()
        served.go_on.set()
        assert await answer(busy) == b"slow"
        await stopped
        for each in (first, second, third):
            each.close()

    serve(story)
