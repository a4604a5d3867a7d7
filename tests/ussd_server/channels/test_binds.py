"""An account's binds: what they say, when it counts as bound, and what becomes of its work where one is lost."""

from pathlib import Path
from typing import Any

import pytest

from smpp.constants import CommandId, Status
from tests.ussd_server.channels.line import Line, play, send
from tests.ussd_server.turns.bench import MSISDN


def test_a_bind_says_what_the_account_says(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        (bind,) = at.smsc.binds
        assert (bind.system_id, bind.password.reveal(), bind.system_type) == ("user", "password", "USSD")
        assert (bind.addr_ton, bind.addr_npi, bind.address_range) == (2, 8, "^111")

    play(tmp_path, story, system_type="USSD", address_ton=2, address_npi=8, address_range="^111")


def test_an_account_is_not_bound_where_nothing_sends(tmp_path: Path) -> None:
    async def story(at: Line) -> None:
        assert at.bench.metrics.links[at.account.name] is True
        transmitter = at.smsc.bound[[bind.command for bind in at.smsc.binds].index(CommandId.BIND_TRANSMITTER)]
        at.smsc.refusal = Status.RBINDFAIL
        transmitter.close()
        await at.until(lambda: at.account.unbound_because == "transmitter: bind refused: ESME_RBINDFAIL")
        assert not at.account.bound
        assert at.bench.metrics.links[at.account.name] is False

    play(tmp_path, story, bind="txrx")


@pytest.mark.parametrize("options", [{"binds": 2}, {"bind": "txrx", "binds": 2}])
def test_a_bind_that_is_lost_leaves_the_work_to_the_others_and_comes_back(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """SMS go on by what is left; what the lost one had under way is told to be tried later."""

    async def story(at: Line) -> None:
        every = at.bench.metrics.binds[at.account.name]
        at.smsc.silent = True
        sending = [send(at.account.outgoing, "111", MSISDN, f"Hello {n}", n) for n in range(2)]
        await at.until(lambda: len(at.smsc.submitted) == 2)
        first, second = at.smsc.by
        assert first is not second
        at.smsc.silent = False
        first.close()
        outcome = await sending[0]
        assert (outcome.result, outcome.reason) == ("later", "the link was lost")
        sent = [await send(at.account.outgoing, "111", MSISDN, f"Hello {n}", n) for n in range(4)]
        assert [outcome.result for outcome in sent] == ["sent"] * 4
        assert first not in at.smsc.by[2:]
        assert at.account.bound
        await at.until(lambda: at.bench.metrics.binds[at.account.name] == every)
        assert len(at.smsc.binds) == every + 1
        sending[1].cancel()

    play(tmp_path, story, **options)
