"""A listener to tell a story with, on each loop there is."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.ussd_server.http.listener.served import Served, Story


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a story with a listener, on each loop there is."""

    def run(story: Story, **named: object) -> None:
        async def main() -> None:
            served = Served(**named)  # type: ignore[arg-type]
            await served.listener.start()
            try:
                await story(served)
            finally:
                served.go_on.set()
                await served.listener.stop()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run
