"""Every journey through the whole service reads as it is written, word for word."""

from pathlib import Path

import pytest

from menus.compiler import Flow
from tests.journeys.player import shipped, transcript

JOURNEYS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.fixture(scope="module")
def flow() -> Flow:
    return shipped()


@pytest.mark.parametrize("path", JOURNEYS, ids=lambda path: path.stem)
def test_a_journey(path: Path, flow: Flow, tmp_path: Path):
    written = path.read_text("utf-8")
    assert transcript(written, flow, tmp_path) == written
