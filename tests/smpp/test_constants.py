"""Numbers have names for people, and numbers without a name are shown as numbers."""

import pytest
from smpplib import consts

from smpp.constants import CommandId, Status, command_name, status_description, status_name
from smpp.errors import BIND_HOPELESS, THROTTLED, TRANSIENT


@pytest.mark.parametrize("name", [name for name in dir(consts) if name.startswith("SMPP_ESME_")])
def test_statuses_are_those_of_another_implementation(name: str) -> None:
    assert Status[name.removeprefix("SMPP_ESME_")] == getattr(consts, name)


def test_names_and_descriptions() -> None:
    assert status_name(0x58) == "ESME_RTHROTTLED"
    assert status_name(0x407) == "0x00000407"
    assert status_description(0x58).startswith("Throttling error")
    assert status_description(0x07) == status_description(0x407) == ""
    assert command_name(CommandId.DELIVER_SM_RESP) == "deliver_sm_resp"
    assert command_name(0x00010200) == "0x00010200"


def test_what_may_pass_is_not_what_needs_a_person() -> None:
    assert THROTTLED < TRANSIENT
    assert not TRANSIENT & BIND_HOPELESS
