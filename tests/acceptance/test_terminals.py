"""A person at a terminal and the real server process: code by SMS, visit, consent, receipt, and a server that dies."""

import base64
import json
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests import leaks
from tests.acceptance.conftest import Service, new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import PATIENCE_S, Phone, ServerProcess, run_to_end, running
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import credentials
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Asked, Signed, Signer, sign_request, verify_response

EXAMPLE = Path(__file__).parents[2] / "examples" / "terminal.py"
TARIFF = "red-energy"
RICH = "79100000001"
"""In the shipped catalogue: a subscriber with money for any change."""


def add_terminal(data: Path, id: str, port: int) -> Path:
    """Register a terminal at the server that runs, as its operator does; return its file."""
    file = data / f"{id}.json"
    url = f"http://127.0.0.1:{port}"
    status, said = run_to_end(
        "terminal", "add", id, "--generate", file.name, "--terminal-url", url, "--data", ".", cwd=data
    )
    assert status == 0, said
    return file


def code_in(phone: Phone) -> Secret[str]:
    """Return the code of the next SMS that tells one; a code that never comes ends the wait."""
    while True:
        found = leaks.CODE_IN_SMS.search(phone.inbox())
        if found is not None:
            return Secret(found[1])


class Terminal:
    """A terminal of its own making: requests that can be sent again as they were, to whichever server there is."""

    def __init__(self, file: Path, server: ServerProcess) -> None:
        self._own = credentials.load(file)
        self._signer = Signer(f"{self._own.terminal}/{self._own.key}", self._own.private)
        self.server = server

    def signed(self, method: str, url: str, body: bytes, key: str) -> dict[str, str]:
        """Return the header fields of a request as of now."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key} if method == "POST" else {}
        now = time.time_ns() // 1_000_000
        return sign_request(method, url, headers, body, self._signer, now, secrets.token_hex(8))

    def ask(self, method: str, path: str, content: object = None, key: str = "") -> tuple[int, dict[str, Any]]:
        """Send a request, signed anew, and return status and content of the answer once it is verified."""
        url = f"http://127.0.0.1:{self.server.http_port}{path}"
        body = b"" if content is None else json.dumps(content).encode()
        headers = self.signed(method, url, body, key)
        request = urllib.request.Request(url, body or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                status, told, octets = response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, told, octets = error.code, dict(error.headers), error.read()
        now = time.time_ns() // 1_000_000
        asked = Asked(method, url, headers)
        assert isinstance(verify_response(status, told, octets, asked, self._own.signing.get, now), Signed)
        return status, json.loads(octets) if octets else {}

    def entry(self, msisdn: str, code: Secret[str], key: str) -> dict[str, Any]:
        """Return the message that opens a visit."""
        transport = next(one for one in self.ask("GET", "/v1/keys")[1]["transport"] if one["current"])
        now = time.time_ns() // 1_000_000
        entry = Entry(msisdn, code, self._own.terminal, key, now, secrets.token_hex(8))
        box = seal(entry, base64.b64decode(transport["public"]))
        return {"msisdn": msisdn, "entry": {"key": transport["id"], "box": box}, "language": "en"}


def test_the_example_serves_a_person(service: Service) -> None:
    """It orders a code, reads it from the phone, changes the tariff; the receipt comes and the consent is kept."""
    phone = Phone(service.gateway, RICH).activated()
    file = add_terminal(service.data, "hall-1", service.server.http_port)
    example = subprocess.Popen(
        [sys.executable, str(EXAMPLE), str(file), RICH, TARIFF],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        code = code_in(phone)
        said, _ = example.communicate(f"{code.reveal()}\n", timeout=PATIENCE_S)
    finally:
        example.kill()
        example.wait()
    assert example.returncode == 0, said
    assert "Ordered; the receipt comes by SMS." in said
    price = re.search(r"(\d+\.\d\d) RUB now", said)
    assert price is not None, said
    receipt = phone.inbox()
    assert "тариф" in receipt.lower() or "tariff" in receipt.lower(), receipt
    status, journal = run_to_end("subscriber", "journal", RICH, "--data", ".", cwd=service.data)
    assert status == 0
    assert [line for line in journal.splitlines() if "hall-1" in line and "agreed" in line], journal
    assert code.reveal() not in service.server.log


def test_a_visit_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    """What was answered is answered again, what was opened is open, and a wrong entry counts as before."""
    gateway = Gateway()
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept()
        phone = new_phone(gateway).activated()
        terminal = Terminal(add_terminal(tmp_path, "hall-1", server.http_port), server)
        assert terminal.ask("POST", "/v1/code-orders", {"msisdn": phone.msisdn}, "order-1")[0] == 202
        code = code_in(phone)
        wrong = terminal.entry(phone.msisdn, Secret("no code"), "entry-1")
        refused = terminal.ask("POST", "/v1/visits", wrong, "entry-1")
        assert (refused[0], refused[1]["attempts_left"]) == (403, 2)
        right = terminal.entry(phone.msisdn, code, "entry-2")
        opened = terminal.ask("POST", "/v1/visits", right, "entry-2")
        assert opened[0] == 201
        path = f"/v1/visits/{opened[1]['visit']}"
        screen = opened[1]["screen"]
        tap = {"screen": screen["id"], "text": screen["options"][0]["key"]}
        shown = terminal.ask("POST", f"{path}/inputs", tap, "tap-1")
        assert shown[0] == 200
        server.kill()
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept()
        terminal.server = server
        server.wait_for_log("bound")
        assert terminal.ask("POST", "/v1/visits", wrong, "entry-1") == refused
        assert terminal.ask("POST", "/v1/visits", right, "entry-2") == opened
        assert terminal.ask("POST", f"{path}/inputs", tap, "tap-1") == shown
        assert terminal.ask("POST", f"{path}/inputs", tap, "tap-2")[1]["type"] == "/problems/screen-changed"
        assert terminal.ask("POST", "/v1/visits", right, "entry-1")[1]["type"] == "/problems/entry-mismatch"
        assert terminal.ask("GET", f"{path}/balance")[0] == 200
        assert terminal.ask("DELETE", path) == (204, {})
        assert terminal.ask("GET", f"{path}/balance")[1]["type"] == "/problems/visit-unknown"
    gateway.close()


def test_an_entry_in_whose_middle_the_server_was_killed_takes_one_try_at_most(tmp_path: Path) -> None:
    """Wherever it died, between nothing done and all done, the same request afterwards is the same try."""
    gateway = Gateway()
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept()
        phone = new_phone(gateway).activated()
        terminal = Terminal(add_terminal(tmp_path, "hall-1", server.http_port), server)
        key = "entry-1"
        wrong = terminal.entry(phone.msisdn, Secret("no code"), key)
        sent = _send_and_leave(terminal, wrong, key)
        server.kill()
        sent.close()
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept()
        terminal.server = server
        server.wait_for_log("bound")
        status, told = terminal.ask("POST", "/v1/visits", wrong, key)
        assert (status, told.get("attempts_left")) in ((403, 2), (409, None)), told
        other = terminal.entry(phone.msisdn, Secret("another"), "entry-2")
        status, told = terminal.ask("POST", "/v1/visits", other, "entry-2")
        assert (status, told["type"]) == (403, "/problems/code-rejected")
        assert told["attempts_left"] in (1, 2), "one try of the first entry, counted or still reserved"
    gateway.close()


def _send_and_leave(terminal: Terminal, content: object, key: str) -> socket.socket:
    """Send an entry and wait for no answer."""
    url = f"http://127.0.0.1:{terminal.server.http_port}/v1/visits"
    body = json.dumps(content).encode()
    head = terminal.signed("POST", url, body, key)
    sender = socket.create_connection(("127.0.0.1", terminal.server.http_port))
    lines = ["POST /v1/visits HTTP/1.1", f"Host: 127.0.0.1:{terminal.server.http_port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    sender.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return sender
