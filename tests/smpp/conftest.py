"""Work on either event loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from tests.smpp.loopback import LIMIT_SECONDS, Run, T


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    def run_to_end(work: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(work, LIMIT_SECONDS))

    return run_to_end
