"""A running server on a raw SMSC, shared by the tests of a module; each test uses subscribers of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import Phone, ServerProcess, Smsc, running

_numbers = count(79_100_002_001)  # the shipped catalogue has nothing special about these


def new_phone(gateway: Smsc) -> Phone:
    """Return a phone with a number that no other test has."""
    return Phone(gateway, str(next(_numbers)))


@dataclass
class Service:
    """The server under test and the SMSC that it is bound to."""

    server: ServerProcess
    gateway: Gateway
    data: Path

    def phone(self) -> Phone:
        """Return a phone with a number that no other test has."""
        return new_phone(self.gateway)

    def alive(self) -> None:
        """Assert that the same link still serves: a newcomer gets the menu."""
        assert self.server.process.poll() is None
        assert self.phone().dial("*111#").text


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """An SMSC that nobody has bound to yet."""
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with the shipped flows, bound."""
    gateway = Gateway()
    data = tmp_path_factory.mktemp("data")
    with running(data, smsc=gateway.url) as server:
        gateway.accept()
        yield Service(server, gateway, data)
    gateway.close()
