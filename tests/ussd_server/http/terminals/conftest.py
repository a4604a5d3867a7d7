"""No code that a test of the endpoint has in hand gets into an output."""

from collections.abc import Iterator

import pytest

from tests.ussd_server.http.endpoint import CODE, WRONG


@pytest.fixture(autouse=True)
def no_secret_in_the_log(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does here, its codes are in no output."""
    yield
    written = "".join(capfd.readouterr()) + caplog.text
    assert CODE not in written
    assert WRONG not in written
