"""Of all accounts the gateway takes the one that is named, or one that can, and gives each its share."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smpp.link import Link
from smpp.states import Role
from smpp.transport import listen
from tests.ussd_server.channels.line import Line, Smsc, dialled, make_account, play, send
from tests.ussd_server.turns.bench import MSISDN
from ussd_server.channels.gateway import Gateway
from ussd_server.channels.sms import SendOutcome
from ussd_server.secrecy.secrets import Secret
from ussd_server.smsc_url import SmscUrl


def test_what_no_account_brought_goes_by_one_that_is_bound(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        away = make_account(SmscUrl("away", Secret("password"), "127.0.0.1", 1), at.bench)
        gateway = Gateway([away, at.account], 64)
        for account in ("", "of another time"):
            assert (await send(gateway, account, "111", MSISDN, "Привет", 7)).result == "sent"
        assert (await send(gateway, away.name, "111", MSISDN, "Привет", 7)).result == "later"
        assert (await send(Gateway([away], 64), "", "111", MSISDN, "Привет", 7)).result == "later"
        assert (await send(Gateway([], 64), "", "111", MSISDN, "Привет", 7)).result == "later"

    play(tmp_path, story)


def test_two_accounts_keep_their_dialogues_and_sms_apart(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        other = Smsc()
        listener = await listen("127.0.0.1", 0, lambda: Link(Role.SMSC), other.on_event)
        second = make_account(SmscUrl("other", Secret("password"), "127.0.0.1", listener.port, binds=2), at.bench)
        gateway = Gateway([at.account, second], 64)
        second.start()
        await at.until(lambda: at.bench.metrics.binds[second.name] == 2)
        other.deliver(dialled("*111*2163#"))
        await at.until(lambda: len(other.submitted) == 1)
        for account, smsc in ((at.account, at.smsc), (second, other)):
            before = len(smsc.submitted)
            assert (await send(gateway, account.name, "111", MSISDN, "Hello", 7)).result == "sent"
            assert len(smsc.submitted) == before + 1
        assert len(at.smsc.submitted) == 1
        await second.stop(drain_ms=100)
        await listener.close()

    play(tmp_path, story)


def test_a_slow_account_does_not_take_the_others_slots(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        other = make_account(SmscUrl("other", Secret("password"), "127.0.0.1", 1), at.bench)
        gateway = Gateway([at.account, other], 4)
        at.smsc.silent = True
        sending = [send(gateway, at.account.name, "111", MSISDN, "?", n) for n in range(2)]
        await at.until(lambda: len(at.smsc.submitted) == 2)
        turned_away = await send(gateway, at.account.name, "111", MSISDN, "?", 7)
        assert turned_away == SendOutcome("later", "as many SMS wait for this SMSC as may", crowded=True)
        assert (await send(gateway, other.name, "111", MSISDN, "?", 7)).reason == "no bound link takes it"
        assert at.smsc.connection is not None
        at.smsc.connection.close()
        assert {(await one).result for one in sending} == {"later"}
        at.smsc.silent = False
        await at.until(lambda: len(at.smsc.binds) == 2 and at.account.bound)
        assert (await send(gateway, at.account.name, "111", MSISDN, "?", 7)).result == "sent"

    play(tmp_path, story)


def test_pushes_go_by_an_account_that_is_bound(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        gateway = Gateway([at.account], 64)
        assert gateway.line("") is gateway.line(at.account.name) is at.account
        assert gateway.line("another operator's") is None
        assert Gateway([], 64).line("") is None

    play(tmp_path, story)


def test_pushes_that_name_no_account_go_by_none_whose_gateway_takes_no_pushes(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        gateway = Gateway([at.account], 64)
        assert gateway.line("") is None
        assert gateway.line(at.account.name) is at.account  # which refuses with the reason

    play(tmp_path, story, dialect="tata")


@pytest.mark.parametrize(("dialect", "told"), [("mica", 1), ("standard", 0)])
def test_at_the_start_it_is_told_where_no_gateway_takes_pushes(tmp_path: Path, dialect: str, told: int) -> None:
    async def story(at: Line) -> None:
        there = SmscUrl("user", Secret("password"), "127.0.0.1", 1, dialect=dialect)
        gateway = Gateway([make_account(there, at.bench)], 64)
        with capture_logs() as logs:
            gateway.start()
        await gateway.stop(0)
        assert sum("takes pushes" in line["event"] for line in logs) == told

    play(tmp_path, story)
