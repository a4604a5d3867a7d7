"""What every test runs under."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "tests.leaks"]

# How long an example takes tells how busy the machine is, and no test may depend on that.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Take back the logging that a command set up in a test: its stream ends with that test."""
    loggers = [logging.getLogger(name) for name in (None, "aiohttp.access", "transitions")]
    root, handlers, levels = loggers[0], loggers[0].handlers[:], [each.level for each in loggers]
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
