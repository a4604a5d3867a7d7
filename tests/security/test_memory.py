"""A process that may open keys leaves no core dump, and is looked into by nobody of its own user."""

import subprocess
import sys

import pytest

PR_GET_DUMPABLE = 3

COMMAND = f"""
import ctypes, resource
from ussd_server.cli import main
try:
    main(["--version"])
finally:
    print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has processes that are not dumpable")
def test_every_command_keeps_its_memory_to_itself() -> None:
    said = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "0 0 0"
