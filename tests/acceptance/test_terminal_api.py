"""The terminals' endpoint as schemathesis meets it: requests that the OpenAPI document allows, and that it forbids."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import Service
from tests.acceptance.harness import Phone, run_to_end

ROOT = Path(__file__).parents[2]
SECONDS = 100.0
"""What a run may take at the most; it takes a fraction of it."""
EXAMPLES = 40
"""Requests made up for each operation and kind of data, besides those that follow from the document's limits."""

CONFIG = """\
[warnings]
fail-on = []
"""


def ordered_code(phone: Phone) -> str:
    """Order an access code by SMS and return it."""
    assert phone.text("111", "parol") == 0
    while (found := re.search(r"\b\d{8}\b", phone.inbox())) is None:
        pass  # another SMS, such as the welcome
    return found[0]


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    """All its checks, on data that the document allows and that it forbids, single and one leading to the next."""
    phone, another = service.phone().activated(), service.phone().activated()
    url = f"http://127.0.0.1:{service.server.http_port}"
    generous = ["--wrong-per-hour", "100000", "--orders-per-hour", "100000"]
    status, said = run_to_end(
        *("terminal", "add", "schemathesis", "--generate", str(tmp_path / "terminal.json")),
        *("--terminal-url", url, "--data", str(service.data), *generous),
        cwd=tmp_path,
    )
    assert status == 0, said
    environment = {
        "SCHEMATHESIS_HOOKS": "tests.acceptance.terminal_hooks",
        "PYTHONPATH": str(ROOT),
        "TERMINAL_FILE": str(tmp_path / "terminal.json"),
        "TERMINAL_URL": url,
        "TERMINAL_MSISDN": phone.msisdn,
        "TERMINAL_CODE": ordered_code(phone),
        "TERMINAL_ANOTHER_MSISDN": another.msisdn,
    }
    command = [
        *(str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json"),
        *("--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "1", "--continue-on-failure", "--no-color"),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
