"""Every store there is, for every test of the port."""

from functools import partial
from pathlib import Path

import pytest

from tests.contracts.store.steps import Open
from tests.contracts.stores import STORES


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return partial(STORES[request.param], tmp_path)
