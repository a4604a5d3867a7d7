"""The servers' clocks, each of which can be set by itself, as on machines of their own."""

from pathlib import Path


def faketime() -> Path | None:
    """Return the library that sets a process's clock, None where it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


class Clocks:
    """A clock for each server, by its number. Those that are not `settable` are the machine's."""

    def __init__(self, directory: Path, servers: int, settable: bool) -> None:
        self._library = faketime() if settable else None
        self._files = [directory / f"clock-{which + 1}" for which in range(servers)]

    def start(self) -> None:
        """Let all be right."""
        for which in range(len(self._files)):
            self.set(which, 0)

    def environment(self, which: int) -> dict[str, str]:
        """Return what a server's process must find in its environment."""
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._files[which]),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, which: int, ms: int) -> None:
        """Set a server's clock so far from the right time, while it runs."""
        newer = self._files[which].with_suffix(".new")
        newer.write_text(f"{ms / 1000:+.3f}\n")
        newer.replace(self._files[which])
