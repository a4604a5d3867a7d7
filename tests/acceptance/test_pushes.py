"""A push outlives the server that sent it: after a crash it is not shown again, and its confirmation still counts."""

import json
import time
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import PATIENCE_S, Phone, ServerProcess, Submitted, run_to_end, running

NOTIFY, ASK, CONFIRM = 0x03, 0x02, 0x13
AWAKE = {"USSD_SERVER_QUIET_HOURS": ""}


def push(data: Path, phone: Phone, *words: str) -> None:
    status, said = run_to_end("push", *words, phone.msisdn, "--data", str(data), cwd=data, environment=AWAKE)
    assert status == 0, said


def shown(gateway: Gateway, phone: Phone) -> Submitted:
    """Return the push that comes, and take its session for the phone's."""
    sent = gateway.expect("a push", lambda m: m.destination == phone.msisdn and m.op in (NOTIFY, ASK))
    assert sent.session is not None
    phone.session = sent.session >> 8
    return sent


def journal(data: Path, phone: Phone) -> list[dict[str, Any]]:
    status, said = run_to_end(
        "subscriber", "journal", phone.msisdn, "--json", "--kind", "push ended", "--data", str(data), cwd=data
    )
    return [json.loads(line) for line in said.splitlines()] if status == 0 else []


def sent_and_kept(server: ServerProcess) -> None:
    """Wait until the server has noted that the gateway took the push."""
    deadline = time.monotonic() + PATIENCE_S
    while server.metric("ussd_server_outbox_performed_total", kind="push", result="later") < 1:
        assert time.monotonic() < deadline, server.log


def test_after_a_crash_a_notification_is_not_sent_again_and_its_confirmation_counts(
    gateway: Gateway, tmp_path: Path
) -> None:
    phone = new_phone(gateway)
    with running(tmp_path, smsc=gateway.url, environment=AWAKE) as server:
        gateway.accept()
        push(tmp_path, phone, "notify", "--text", "Hello", "--category", "service")
        assert shown(gateway, phone).text == "Hello"
        sent_and_kept(server)
        server.kill()
    with running(tmp_path, smsc=gateway.url, environment=AWAKE) as server:
        gateway.accept()
        assert gateway.deliver(phone.ussd_fields("", CONFIRM)) == 0
        assert server.metric("ussd_server_pushes_total", kind="notify", result="confirmed") == 1
        assert not gateway.seen(lambda message: message.destination == phone.msisdn)
    assert [entry["data"]["result"] for entry in journal(tmp_path, phone)] == ["confirmed"]


def test_a_push_that_got_no_response_before_a_crash_may_still_be_confirmed(gateway: Gateway, tmp_path: Path) -> None:
    phone = new_phone(gateway)
    with running(tmp_path, smsc=gateway.url, environment=AWAKE) as server:
        gateway.accept()
        gateway.acknowledge = None
        push(tmp_path, phone, "notify", "--screen", "balance")
        first = shown(gateway, phone)
        server.kill()
    gateway.acknowledge = 0
    with running(tmp_path, smsc=gateway.url, environment=AWAKE) as server:
        gateway.accept()
        # It would be sent again when the lease of the server that is gone ends; it needs not to be.
        assert gateway.deliver(phone.ussd_fields("", CONFIRM)) == 0
        assert server.metric("ussd_server_pushes_total", kind="notify", result="confirmed") == 1
    assert "Баланс" in first.text
    assert [entry["data"]["result"] for entry in journal(tmp_path, phone)] == ["confirmed"]
