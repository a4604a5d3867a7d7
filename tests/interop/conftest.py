"""The server bound to an SMSC that somebody else wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.harness import Phone, ServerProcess, running
from tests.interop.node import NodeSmsc, available

_numbers = count(79_100_001_001)


@dataclass
class Service:
    """The server under test and the SMSC that it is bound to."""

    server: ServerProcess
    smsc: NodeSmsc
    data: Path

    def phone(self, msisdn: str = "") -> Phone:
        """Return the phone of a number, by default one that no other test has."""
        return Phone(self.smsc, msisdn or str(next(_numbers)))


@pytest.fixture(scope="module")
def node() -> Iterator[NodeSmsc]:
    """Node's package, listening. What is missing to run it fails the test: skipped tests prove nothing."""
    missing = available()
    if missing:
        pytest.fail(missing)
    smsc = NodeSmsc()
    yield smsc
    smsc.close()


@pytest.fixture(scope="module")
def service(node: NodeSmsc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with the shipped flows and catalogue, bound to node."""
    data = tmp_path_factory.mktemp("data")
    with running(data, smsc=node.url) as server:
        bind = node.event("bind")
        assert bind["granted"], bind
        yield Service(server, node, data)
