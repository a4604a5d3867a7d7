"""Every written conversation is what a subscriber reads, word for word."""

from pathlib import Path

import pytest

from menus.compiler import Flow
from tests.conversations.player import shipped, transcript

CONVERSATIONS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.fixture(scope="module")
def flow() -> Flow:
    return shipped()


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_a_conversation(path: Path, flow: Flow, tmp_path: Path):
    written = path.read_text("utf-8")
    assert transcript(written, flow, tmp_path) == written
