"""The operator's commands while all goes on: some are killed at it, and given again until one says that it is done."""

import asyncio
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.acceptance.harness import COMMAND
from tests.chaos import ledger
from tests.chaos.ledger import Happened, Ledger
from tests.chaos.processes import Child
from tests.signalled import Point, signalling

BROKEN_OFF: Final = 0.4
"""Of those who make a new key so many are killed at it."""

ROTATES_S: Final = (0.3, 2.0)
ROTATED_S: Final = 20.0
"""When they are, and how long the others may take."""

FORGETS_S: Final = (0.0, 0.12)
FORGET_KILLS: Final = (0, 1, 1, 2)
COPIES_S: Final = (0.0, 0.8)
COPY_KILLS: Final = (1, 2, 3, 4)
"""When who forgets or copies is killed, from when they begin their work, and how many of them one after the other."""

TRIES: Final = 40
ENDS_S: Final = 60.0
AGAIN_S: Final = 0.3
"""How often a command is given, how long it may take, how long after one that failed: its store may be down."""

IS_FORGOTTEN: Final = (": forgotten.", ": nothing is known of this subscriber")
"""What is said where it is done, and where one that was killed had done it."""


class Desk:
    """Gives commands on the store of a URL. `broken` are those that ended with a trace, or not at all.

    Who forgets or copies is killed at some moments by chance, or where there are `points`, at each of these in turn.
    """

    def __init__(
        self,
        directory: Path,
        data: Path,
        environment: dict[str, str],
        rng: random.Random,
        book: Ledger,
        points: Sequence[Point] = (),
    ) -> None:
        self._directory = directory
        self._data = data
        self._environment = environment
        self._rng = rng
        self._book = book
        self._points = points
        self._program: Sequence[str] = (COMMAND,)
        self.broken: list[str] = []

    async def rotate(self, url: str) -> None:
        """Make a new key and put every code under it; who is killed at it leaves the rest to the next."""
        rotating = self._command("keys rotate", "--data", str(self._data), "--store", url)
        rotating.start()
        if self._rng.random() < BROKEN_OFF:
            await asyncio.sleep(self._rng.uniform(*ROTATES_S))
            await rotating.kill()
        else:
            await rotating.ends(ROTATED_S)

    async def forget(self, url: str, msisdn: str) -> bool:
        """Forget a subscriber; False where no command ever said that it is done."""
        command = self._command("subscriber forget", msisdn, "--yes", "--data", str(self._data), "--store", url)
        return await self._until(command, self._kills(FORGET_KILLS, FORGETS_S), _is_forgotten)

    async def copy(self, source: str, target: str) -> str:
        """Copy a store and compare; returns what is wrong then, "" for nothing."""
        copying = self._command("store copy", source, target)
        if not await self._until(copying, self._kills(COPY_KILLS, COPIES_S), lambda status, said: status == 0):
            return f"it never ended; last: {_last(copying.log)}"
        said = ""

        def compared(status: int | None, now_said: str) -> bool:
            nonlocal said
            said = now_said
            return status == 0 or "differ" in said

        comparing = self._command("store compare", source, target)
        if not await self._until(comparing, (), compared):
            return f"they could not be compared; last: {_last(comparing.log)}"
        return "" if "Nothing differs." in said else said

    def _command(self, name: str, *arguments: str) -> Child:
        words = [*name.split(), *arguments]
        return Child(name, lambda: [*self._program, *words], self._directory, self._environment)

    def _kills(self, how_many: Sequence[int], after_s: tuple[float, float]) -> Sequence[float | Point]:
        """Return where, or after how long at their work, those are killed that are."""
        return self._points or [self._rng.uniform(*after_s) for _ in range(self._rng.choice(how_many))]

    async def _until(
        self, command: Child, kills: Sequence[float | Point], done: Callable[[int | None, str], bool]
    ) -> bool:
        """Give a command, the first times with a kill each, until what it ends with is the end."""
        left = list(kills)
        for _ in range(TRIES):
            before = command.log.stat().st_size if command.log.exists() else 0
            kill = left[0] if left else None
            status = await self._ended(command, kill)
            if kill is not None and status == -signal.SIGKILL:
                left.pop(0)
                self._book.note(Happened(ledger.now(), "killed command", command.name.partition(" ")[2], 1))
                continue
            said = command.log.read_text(encoding="utf-8", errors="replace")[before:]
            if "Traceback" in said:
                self.broken.append(f"{command.name}: {said}")
            if done(status, said):
                return True
            await asyncio.sleep(AGAIN_S)
        self.broken.append(f"{command.name} never ended well; last: {_last(command.log)}")
        return False

    async def _ended(self, command: Child, kill: float | Point | None) -> int | None:
        """Give a command, killed at a point or so long after it began its work; return its status.

        It may end before: a time finds one that was quick at its end.
        """
        self._program = signalling(signal.SIGKILL, kill) if isinstance(kill, Point) else (COMMAND,)
        command.start()
        if not isinstance(kill, float):
            return await command.ends(ENDS_S)
        await command.at_work()
        await asyncio.sleep(kill)
        return await command.end(signal.SIGKILL)


def _is_forgotten(status: int | None, said: str) -> bool:
    return any(words in said for words in IS_FORGOTTEN) and "store_log_not_emptied" not in said


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else ""
