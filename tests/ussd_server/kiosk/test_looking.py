"""A kiosk looks after its server again and again, whatever a look meets."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ussd_server.kiosk import kiosk as module
from ussd_server.kiosk.kiosk import Kiosk
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import TerminalClient
from ussd_server.terminals.credentials import Credentials

OWN = Credentials("hall-1", "k", Secret(bytes(32)), "http://127.0.0.1:9", {"s": bytes(32)})


def test_a_defect_in_a_look_is_told_and_the_next_look_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the page would say for ever what the last look had found."""
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.0)

    async def main() -> None:
        looks: asyncio.Queue[None] = asyncio.Queue()

        async def broken(client: TerminalClient) -> None:
            looks.put_nowait(None)
            raise ValueError("a defect")

        monkeypatch.setattr(TerminalClient, "meet", broken)
        kiosk = Kiosk()
        with capture_logs() as logs:
            await kiosk.start(OWN)
            for _ in range(3):
                await looks.get()
            await kiosk.stop()
        assert {(line["event"], line["log_level"]) for line in logs} == {("kiosk failed", "error")}
        assert len(logs) >= 2

    asyncio.run(main())
