"""No access code in any output: a pytest plugin that knows every code issued in a run and every number printed in it.

Codes are learned where they come into being: in this process by wrapping `vault.generate`, from processes by the SMS
that a test's phone receives (`read_sms`). Outputs are what pytest captured of each test (standard output, standard
error, logging) and what processes wrote that a test started (`heard`; `communicate` is wrapped). At the end no whole
number of any output may be a code; where one is, the run fails and says where, without saying the code.

Only random codes count: one that a test chose is in that test's text anyhow.
"""

import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from ussd_server.secrecy import vault
from ussd_server.secrecy.secrets import Secret

CODE_IN_SMS: Final = re.compile(r"(?:Ваш пароль для терминалов|Your password for terminals|Vash parol[^:]*): (\d+)")
"""The texts of `code_sms` in the shipped flow; a test holds it against the flow file."""

NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])(?<!\d\.)\d{6,12}(?![0-9A-Za-z])")
"""A number that stands alone and may be a code: no part of a longer one, of an id or of a decimal fraction."""


WITNESSES: Final = frozenset({"tshark"})
"""Programs whose output is not looked at: they say in thousands of digits what octets they were given, so that some of
these are a code sooner or later. The octets are a test's own, or what a process sent that is listened to itself."""


class Watch:
    """What was issued and what was printed. A number is kept with the first place where it stood."""

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.numbers: dict[str, str] = {}
        self.found_elsewhere: list[str] = []
        self.issued_elsewhere = 0

    def hear(self, text: str, where: str) -> None:
        """Look at a piece of output."""
        for number in NUMBER.findall(text):
            self.numbers.setdefault(number, where)

    def leaks(self) -> list[str]:
        """Return every place where a code was printed, the code itself left out."""
        here = [f"{self.numbers[code]}: {code[0]}{'*' * (len(code) - 1)}" for code in self.codes & self.numbers.keys()]
        return sorted([*here, *self.found_elsewhere])


WATCH: Final = Watch()
_test: list[str] = ["before the first test"]


def issued(code: str) -> None:
    """Note a code that a test learned from outside this process."""
    WATCH.codes.add(code)


def read_sms(text: str) -> None:
    """Note the code in an SMS, where it tells one."""
    WATCH.codes.update(CODE_IN_SMS.findall(text))


def heard(text: str) -> None:
    """Note what a process wrote that a test started."""
    WATCH.hear(text, f"{_test[0]}, output of a process")


def _watch_generate(generate: Callable[..., Secret[str]]) -> Callable[..., Secret[str]]:
    def watched(digits: int, below: Callable[[int], int] = secrets.randbelow) -> Secret[str]:
        code = generate(digits, below)
        if below is secrets.randbelow:
            issued(code.reveal())
        return code

    return watched


def _watch_communicate(communicate: Callable[..., Any]) -> Callable[..., Any]:
    def watched(process: subprocess.Popen[Any], *args: Any, **named: Any) -> Any:
        said = communicate(process, *args, **named)
        for stream in said:
            if stream and not _is_witness(process.args):
                heard(stream if isinstance(stream, str) else stream.decode("utf-8", "replace"))
        return said

    return watched


def _is_witness(command: Any) -> bool:
    return isinstance(command, list) and os.path.basename(command[0]) in WITNESSES


# Hooks of pytest ---------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, before any test module is imported."""
    vault.generate = _watch_generate(vault.generate)
    subprocess.Popen.communicate = _watch_communicate(subprocess.Popen.communicate)  # type: ignore[method-assign]
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Workers())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Remember which test is running."""
    _test[0] = item.nodeid
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Look at what was captured of a test."""
    for title, text in report.sections:
        WATCH.hear(text, f"{report.nodeid}, {title.lower()}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a code was printed."""
    leaks = WATCH.leaks()
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["leaks"], told["codes"] = leaks, len(WATCH.codes)
    if leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was looked at, and where a code was found."""
    leaks = WATCH.leaks()
    if leaks:
        terminalreporter.section("access codes in the output", red=True)
        for leak in leaks:
            terminalreporter.line(leak)
    elif codes := len(WATCH.codes) + WATCH.issued_elsewhere:
        terminalreporter.line(
            f"No access code in any output: {codes} codes issued, {len(WATCH.numbers)} numbers printed."
        )


class _Workers:
    """Collects what the workers of pytest-xdist found; each looks for its own codes in its own output."""

    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {})
        WATCH.found_elsewhere.extend(told.get("leaks", ()))
        WATCH.issued_elsewhere += told.get("codes", 0)
