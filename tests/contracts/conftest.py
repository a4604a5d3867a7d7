"""What the contracts need beside the stores themselves."""

import pytest

from tests import redis_servers
from tests.contracts.stores import REDIS_KINDS


@pytest.fixture(autouse=True)
def _redis_of_the_run(request: pytest.FixtureRequest) -> None:
    """Start the servers that a test's store needs, before processes that the test starts need them."""
    callspec = getattr(request.node, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        if value in REDIS_KINDS:
            redis_servers.provide(REDIS_KINDS[value])
