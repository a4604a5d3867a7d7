"""What every test runs under."""

import logging
from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["pytester", "tests.leaks"]


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
