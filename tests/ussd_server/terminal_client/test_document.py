"""docs/terminals.md is true where the code can tell, and the example in it runs."""

import asyncio
import base64
import json
import re
import runpy
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.ussd_server.terminal_client.document import DOCUMENT, PARTS, ROOT, renewed
from tests.ussd_server.terminal_client.peer import CODE, MSISDN, NOW, SCREEN, Peer, Say, opened, peer, problem
from tests.ussd_server.terminal_client.test_client import NEXT, PLACED, QUOTE
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import messages, sealing

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_its_computed_parts_are_as_they_are_computed() -> None:
    # To renew them: python -m tests.ussd_server.terminal_client.document
    assert renewed(TEXT) == TEXT
    assert all(part() in TEXT for part in PARTS.values())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_makes_the_signature_of_the_example(tmp_path: Path) -> None:
    der = bytes.fromhex("302e020100300506032b657004220420") + bytes(range(32))  # RFC 8410, section 7
    (tmp_path / "hall-1.der").write_bytes(der)
    (tmp_path / "base").write_text(PARTS["base"]().removeprefix("```\n").removesuffix("\n```"))
    made = subprocess.run(
        ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", "hall-1.der", "-keyform", "DER", "-in", "base"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert f"sig1=:{base64.b64encode(made.stdout).decode()}:" in TEXT


def test_the_sealed_record_is_as_it_says() -> None:
    shown = re.search(r'^{"v":1.*}$', TEXT, re.MULTILINE)
    assert shown is not None
    record = json.loads(shown[0])
    assert record.keys() - {"v"} == set(sealing.Entry.__struct_fields__)
    assert f"exactly {sealing.RECORD_SIZE} octets" in TEXT
    assert f"always {sealing.BOX_LENGTH} characters" in TEXT


def test_it_names_every_field_of_a_screen() -> None:
    screens = TEXT.partition("### A screen")[2].partition("\n### ")[0]
    assert [name for name in messages.Screen.__struct_fields__ if f"`{name}`" not in screens] == []


def test_it_is_found_from_the_index() -> None:
    assert "(terminals.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


SHOWN = Say(200, {"screen": NEXT})
RUNS = {
    "to the receipt": (
        [opened(), SHOWN, Say(201, QUOTE), Say(202, PLACED), Say(200, PLACED), Say(204)],
        "Ordered; the receipt comes by SMS.",
    ),
    "no money": ([opened(), SHOWN, problem("insufficient-funds"), Say(204)], "Not done: insufficient-funds"),
    "idle": ([opened(), problem("visit-unknown"), problem("visit-unknown")], "The visit is over."),
    "wrong": ([problem("code-rejected", attempts_left=1)], "Attempts left: 1."),
    "too old": ([problem("code-expired")], "Order a new one."),
    "locked": (
        [problem("access-locked", 60, locked_until=NOW + 60_000)],
        f"closed until {datetime.fromtimestamp(NOW / 1000 + 60):%Y-%m-%d %H:%M}.",
    ),
}


@pytest.mark.parametrize(("script", "said"), RUNS.values(), ids=RUNS.keys())
def test_the_example_runs(script: list[Say], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "terminal.py"))

    async def read_code() -> Secret[str]:
        return CODE

    async def run() -> Peer:
        async with peer(Say(202, {"status": "accepted"}), *script) as (there, client):
            await example["serve"](client, MSISDN, "super_zero", read_code)
            return there

    there = asyncio.run(run())
    printed = capsys.readouterr().out
    assert said in printed
    assert (SCREEN.text in printed) == (there.seen[1].path == "/v1/visits" and len(there.seen) > 2)
