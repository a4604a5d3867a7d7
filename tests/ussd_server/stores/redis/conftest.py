"""Stores that wait for replicas as they wait for all else."""

import pytest

from tests.ussd_server.stores.redis.steps import PATIENT_S
from ussd_server.stores.redis import layout


@pytest.fixture
def _patient_with_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let replicas that stand still for a while be waited for: that they may not is another test's."""
    monkeypatch.setattr(layout, "WAIT_MS", round(PATIENT_S * 1000))
