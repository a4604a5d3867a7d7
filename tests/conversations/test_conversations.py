"""Every golden conversation with the shipped flow reads as it is written, word for word."""

from pathlib import Path

import pytest

from menus.compiler import Flow, compile_flow
from menus.scenario import differences
from tests.test_flows import FLOWS, fits
from ussd_server.turns.service import REGISTRY

CONVERSATIONS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.fixture(scope="module")
def flow() -> Flow:
    return compile_flow(FLOWS.read_bytes(), "flows.yaml", REGISTRY)


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_a_conversation(path: Path, flow: Flow):
    assert differences(path.read_text("utf-8"), flow, fits) == []
