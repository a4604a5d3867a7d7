"""Checkpoints of the embedded store: its log is copied into the database beside the work, and starts anew.

The bulk is copied while groups go on being written. What they add meanwhile is copied in the pause between two of
them: only where all is copied does the log start anew.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from ussd_server.stores.sqlite.file import File

CHECKPOINT_ROWS = 8_192
"""Rows written between two checkpoints: 16 to 64 MB of log, by how many pages a row touches."""

EMPTY_RETRY_S = 0.01
EMPTY_TRIES = 50
"""How often, and how many times, it is tried to empty the log while others use it: a moment without them is enough."""

log = structlog.get_logger(__name__)


class Checkpoints:
    """Copies a file's log whenever so many rows were written.

    Then `log_may_restart` is true, and `copied` is called: the rest is to be copied by who writes, between two groups.
    """

    def __init__(self, file: File, rows: int, copied: Callable[[], None]) -> None:
        self._file = file
        self._rows = rows
        self._copied = copied
        self._written = 0
        """Rows that were, when the last copy began."""
        self._copying: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self.log_may_restart = False

    def consider(self) -> None:
        """Begin to copy the bulk of the log, where enough was written."""
        written = self._file.db.total_changes
        if written - self._written > self._rows and self._copying is None:
            self._written = written
            self._copying = asyncio.get_running_loop().run_in_executor(self._thread, self._file.copy_log)
            self._copying.add_done_callback(self._bulk_copied)

    def _bulk_copied(self, _: "asyncio.Future[None]") -> None:
        self._copying = None
        self.log_may_restart = True
        self._copied()

    async def empty_log(self) -> None:
        """Let nothing that was deleted be left in the log. Others who use it are waited for, but not for long."""
        for _ in range(EMPTY_TRIES):
            if await asyncio.get_running_loop().run_in_executor(self._thread, self._file.empty_log):
                return
            await asyncio.sleep(EMPTY_RETRY_S)
        log.warning("store_log_not_emptied", path=self._file.path)

    async def rest(self) -> bool:
        """Wait until the bulk is copied; False where nothing is being copied."""
        if self._copying is None:
            return False
        await asyncio.wait([self._copying])
        return True

    async def close(self) -> None:
        """Copy the whole log, and let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()
