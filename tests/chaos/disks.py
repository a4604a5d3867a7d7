"""Slow and full disks for a running process: strace makes its calls to the disk wait, or fail with ENOSPC."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

SLOW_MS = (100, 900)
"""What one sync takes at a disk that is busy or about to fail."""

_SYNCS = "fsync,fdatasync"


@cache
def why_not() -> str:
    """Return why strace cannot be used here, "" where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    if os.geteuid() != 0:
        return "a server lets itself be traced by root alone"
    tried = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace processes here"


async def slow(pid: int, seconds: float, sync_ms: int) -> None:
    """Let every sync of a process take so much longer, for so long."""
    await _trace(pid, seconds, [f"-etrace={_SYNCS}", f"-einject={_SYNCS}:delay_enter={sync_ms}ms"])


async def full(pid: int, seconds: float, calls: str, below: Sequence[Path] = ()) -> None:
    """Let what a process writes to its disk fail for so long.

    `calls` are those it writes files with; `below` are the files, for a call that also writes to sockets.
    """
    paths = [option for path in below for option in ("-P", str(path))]
    await _trace(pid, seconds, [*paths, f"-etrace={calls}", f"-einject={calls}:error=ENOSPC"])


async def _trace(pid: int, seconds: float, options: Sequence[str]) -> None:
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-qq", "-o", "/dev/null", *options, "-p", str(pid), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(seconds):
            await tracer.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGTERM)  # it lets go of the process
        await tracer.wait()
