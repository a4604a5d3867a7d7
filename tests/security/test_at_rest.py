"""After a person's whole way through a terminal nothing on the server's disk or in its log opens an account.

A real server and a real terminal; the SMS with the code is not acknowledged for a while, so that it waits in
the outbox.
"""

import asyncio
import base64
from pathlib import Path

from tests import leaks
from tests.acceptance.conftest import gateway, new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import Phone, ServerProcess, run_to_end, running
from ussd_server.secrecy.keys import load as load_keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import OrderState, Quote, Rejected, TerminalClient, Visit
from ussd_server.terminals import credentials
from ussd_server.terminals.credentials import Credentials

__all__ = ["gateway"]

TYPED_WRONG = "60413957"


def test_nothing_at_rest_opens_an_account(gateway: Gateway, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, smsc=gateway.url) as server:
        gateway.accept()
        own = _terminal(server, data)
        phone = new_phone(gateway).activated()

        gateway.acknowledge = None  # the SMS with the code stays in the outbox
        asyncio.run(_order_code(own, phone.msisdn))
        text = phone.inbox()
        (code,) = leaks.CODE_IN_SMS.findall(text)
        secrets = {
            "the code": code.encode(),
            "what was typed wrong": TYPED_WRONG.encode(),
            "the SMS": text.encode(),
            "the SMS as it is sent": text.encode("utf-16-be"),
            "the terminal's key": own.private.reveal(),
            **{key.id: key.secret.reveal() for key in load_keys(data / "keys.json").keys},
        }
        assert _found(data, secrets) == []

        gateway.acknowledge = 0
        gateway.accept()  # a new link: the SMS was never acknowledged, so it comes again
        assert phone.inbox() == text
        secrets["the visit's name"] = asyncio.run(_use(own, phone, code)).encode()
        phone.inbox()  # the receipt
        assert _found(data, secrets) == []

        assert server.terminate() == 0
        assert _found(data, secrets) == []
        told = [what for what, secret in secrets.items() if secret.isascii() and secret.decode() in server.log]
        assert told == []
        assert phone.msisdn not in server.log


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"\0x90417263y\0" + base64.b64encode(b"ab" * 16))
    assert _found(tmp_path, {"code": b"90417263"}) == ["code in sub/file"]
    assert _found(tmp_path, {"key": b"ab" * 16}) == ["key in sub/file"]
    assert _found(tmp_path, {"other": b"12345678"}) == []


def _found(data: Path, secrets: dict[str, bytes]) -> list[str]:
    """Return which secret stands in which file, as it is, in hexadecimal or in base64; the key file holds its own."""
    found = []
    for path in sorted(data.rglob("*")):
        if not path.is_file() or path.name == "keys.json":
            continue
        content = path.read_bytes()
        for what, secret in secrets.items():
            forms = (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="))
            if any(form in content for form in forms):
                found.append(f"{what} in {path.relative_to(data)}")
    return found


def _terminal(server: ServerProcess, data: Path) -> Credentials:
    """Register a terminal as an operator does; returns what it holds."""
    file = data.parent / "hall.json"
    command = ("terminal", "add", "hall", "--generate", str(file), "--data", str(data))
    status, said = run_to_end(*command, "--terminal-url", f"http://127.0.0.1:{server.http_port}", cwd=data.parent)
    assert status == 0, said
    return credentials.load(file)


async def _order_code(own: Credentials, msisdn: str) -> None:
    async with TerminalClient(own) as terminal:
        await terminal.order_code(msisdn)


async def _use(own: Credentials, phone: Phone, code: str) -> str:
    """Mistype once, enter the code, add a service, leave; returns the visit's name."""
    async with TerminalClient(own) as terminal:
        assert isinstance(await terminal.open(phone.msisdn, Secret(TYPED_WRONG)), Rejected)
        visit = await terminal.open(phone.msisdn, Secret(code))
        assert isinstance(visit, Visit)
        async with visit:
            offered = await visit.offerings("service")
            assert isinstance(offered, list)
            for one in offered:
                quote = await visit.quote("add_service", one.id)
                if isinstance(quote, Quote):
                    break
            assert isinstance(quote, Quote)
            ordered = await visit.place_order(quote.id)
            assert isinstance(ordered, OrderState)
        return visit._path.rpartition("/")[2]
