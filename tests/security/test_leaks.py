"""The watch over all output finds a code wherever a test or a process lets one out, and takes nothing else for one."""

import re
from pathlib import Path

import pytest

from menus.compiler import compile_flow
from menus.own_texts import say
from tests import leaks
from tests.leaks import NUMBER, Watch
from ussd_server.turns.service import REGISTRY

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "flows.yaml"

LEAKY = """
import logging, subprocess, sys
from ussd_server.secrecy import vault

def test_it():
    code = vault.generate(8).reveal()
    {line}
"""


@pytest.mark.parametrize(
    "line",
    [
        "print('the code is', code)",
        "print(f'told: {code}.', file=sys.stderr)",
        "logging.getLogger('x').warning('code=%s', code)",
        "subprocess.run([sys.executable, '-c', f'print({code!r})'])",
        "subprocess.run([sys.executable, '-c', f'print({code!r})'], capture_output=True)",
        "subprocess.run([sys.executable, '-c', f'raise SystemExit({code!r})'], capture_output=True, text=True)",
    ],
    ids=["stdout", "stderr", "log", "inherited", "octets", "text"],
)
def test_a_code_in_any_output_fails_the_run(line: str, pytester: pytest.Pytester) -> None:
    outcome = _run(pytester, line)
    assert outcome.ret == pytest.ExitCode.TESTS_FAILED
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines(["*access codes in the output*", "*test_it*: [0-9][*][*][*][*][*][*][*]"])


def test_a_code_that_stays_inside_passes(pytester: pytest.Pytester) -> None:
    outcome = _run(pytester, "print(f'an id: a{code}; a longer number: 79{code}1; in halves: {code[:4]} {code[4:]}')")
    assert outcome.ret == pytest.ExitCode.OK
    outcome.stdout.fnmatch_lines(["No access code in any output: 1 codes issued, *"])


def test_what_tshark_says_of_the_octets_it_was_given_is_no_leak(pytester: pytest.Pytester) -> None:
    tshark = pytester.mkdir("bin") / "tshark"
    tshark.write_text('#!/bin/sh\necho "value=$1"\n', encoding="ascii")
    tshark.chmod(0o755)
    outcome = _run(pytester, f"subprocess.run([{str(tshark)!r}, code], capture_output=True)")
    assert outcome.ret == pytest.ExitCode.OK


def test_the_report_of_a_leak_does_not_leak(pytester: pytest.Pytester) -> None:
    outcome = _run(pytester, "print(code); open('code', 'w').write(code)")
    assert (pytester.path / "code").read_text() not in outcome.stdout.str()


def test_the_code_is_found_in_the_service_s_own_sms() -> None:
    flow = compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY)
    for language in flow.languages:
        found = leaks.CODE_IN_SMS.findall(say(flow, "code_sms", {"code": "04711815"}, language))
        assert found == ["04711815"], language


def test_a_code_is_found_before_and_after_it_is_known() -> None:
    watch = Watch()
    watch.hear("12345678", "early")
    watch.codes.add("12345678")
    watch.codes.add("87654321")
    watch.hear('{"text": "87654321"}', "late")
    assert watch.leaks() == ["early: 1*******", "late: 8*******"]


@pytest.mark.parametrize("text", ["12345678", "код:12345678.", '"12345678"', "pin=12345678&x", "(12345678)"])
def test_a_number_is_taken_out_of_its_surroundings(text: str) -> None:
    assert re.findall(NUMBER, text) == ["12345678"]


@pytest.mark.parametrize("text", ["1763881200000", "79101234567890", "a12345678", "12345678Z", "0.12345678", "12345"])
def test_parts_of_other_things_are_no_codes(text: str) -> None:
    assert re.findall(NUMBER, text) == []


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _run(pytester: pytest.Pytester, line: str) -> pytest.RunResult:
    pytester.makepyfile(LEAKY.format(line=line))
    pytester.makeini("[pytest]\n")
    return pytester.runpytest_subprocess("-p", "tests.leaks", "-p", "no:cacheprovider")
