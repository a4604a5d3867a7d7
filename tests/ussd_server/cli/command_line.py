"""The command line in this process: what tests of several commands share."""

import os

import pytest

from ussd_server.cli.program import outcome
from ussd_server.settings import PREFIX


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting of whoever runs the tests out of the environment."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


class Said:
    """Runs a command and keeps what it wrote. Words of `first` and `last` stand around those of each call."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], first: tuple[str, ...] = (), last: tuple[str, ...] = ()
    ) -> None:
        self._capsys = capsys
        self._first, self._last = first, last
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        code = outcome((*self._first, *words, *self._last))
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def lines(self) -> list[str]:
        """Return the output, line by line."""
        return self.out.splitlines()
