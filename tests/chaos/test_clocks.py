"""The servers' clocks of the crash tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.clocks import Clocks, faketime

HOUR = 3_600


def ahead(clocks: Clocks, which: int) -> float:
    """Return by how many hours the clock of such a server's process is ahead."""
    environment = os.environ | clocks.environment(which)
    tell = [sys.executable, "-S", "-c", "import time; print(time.time())"]
    told = subprocess.run(tell, env=environment, capture_output=True, text=True, check=True).stdout
    return round((float(told) - time.time()) / HOUR)


def test_one_servers_clock_is_set_and_the_others_stays(tmp_path: Path) -> None:
    """Where the library is there that does it."""
    clocks = Clocks(tmp_path, 2, settable=True)
    clocks.start()
    clocks.set(1, -2 * HOUR * 1_000)
    assert [ahead(clocks, which) for which in (0, 1)] == [0, -2 if faketime() else 0]
    clocks.set(1, 0)
    assert [ahead(clocks, which) for which in (0, 1)] == [0, 0]


def test_clocks_that_are_not_settable_are_the_machines(tmp_path: Path) -> None:
    """What is not installed or not wanted is not loaded."""
    assert Clocks(tmp_path, 1, settable=False).environment(0) == {}
