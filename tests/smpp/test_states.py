"""What a PDU does depends on the side of the link and where the session stands, and both sides agree on that."""

import pytest

from smpp.constants import RESPONSE_BIT, CommandId, Status
from smpp.events import Delivered, Nacked
from smpp.pdu import Message, MessageResp, encode
from smpp.states import BOUND, DOES, MAY_SEND, Does, Role, State
from tests.smpp.links import DELIVER, SUBMIT, bound, opened, written

BY_BIND = {
    (Role.ESME, CommandId.BIND_TRANSCEIVER): {CommandId.SUBMIT_SM, CommandId.DATA_SM},
    (Role.ESME, CommandId.BIND_TRANSMITTER): {CommandId.SUBMIT_SM, CommandId.DATA_SM},
    (Role.ESME, CommandId.BIND_RECEIVER): set(),
    (Role.SMSC, CommandId.BIND_TRANSCEIVER): {CommandId.DELIVER_SM, CommandId.DATA_SM},
    (Role.SMSC, CommandId.BIND_TRANSMITTER): set(),
    (Role.SMSC, CommandId.BIND_RECEIVER): {CommandId.DELIVER_SM, CommandId.DATA_SM},
}


@pytest.mark.parametrize("command", [CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM])
@pytest.mark.parametrize(("role", "bind"), BY_BIND)
def test_messages_go_only_where_the_bind_allows(role: Role, bind: CommandId, command: CommandId) -> None:
    other = Role.SMSC if role is Role.ESME else Role.ESME
    sender, receiver = bound(role, bind), bound(other, bind)
    allowed = command in BY_BIND[role, bind]
    assert sender.send(Message(command), "tag", 0) is allowed
    (event,) = receiver.receive(encode(Message(command, 5)), 0)
    if allowed:
        assert event == Delivered(Message(command, 5))
    else:
        assert isinstance(event, Nacked)
        assert written(receiver) == [MessageResp(command | RESPONSE_BIT, 5, Status.RINVBNDSTS)]


def test_a_message_before_the_bind_is_refused() -> None:
    for link, message in ((opened(Role.ESME), DELIVER), (opened(Role.SMSC), SUBMIT)):
        (event,) = link.receive(encode(message), 0)
        assert isinstance(event, Nacked)
        assert written(link) == [MessageResp(message.command | RESPONSE_BIT, 0, Status.RINVBNDSTS)]
        assert not link.send(SUBMIT if link.role is Role.ESME else DELIVER, 1, 0)


@pytest.mark.parametrize(("role", "other"), [(Role.ESME, Role.SMSC), (Role.SMSC, Role.ESME)])
@pytest.mark.parametrize("state", [State.BOUND_TRX, State.BOUND_TX, State.BOUND_RX])
def test_what_one_side_may_send_is_what_the_other_takes_and_its_response_settles_it(
    role: Role, other: Role, state: State
) -> None:
    sent = MAY_SEND[role, state]
    assert sent == {command for command, does in DOES[other, state].items() if does is Does.DELIVER}
    for at in (state, State.UNBINDING):
        assert {command | RESPONSE_BIT for command in sent} <= {
            command for command, does in DOES[role, at].items() if does is Does.SETTLE
        }


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_every_state_is_in_the_tables_and_only_a_bound_link_sends_messages(role: Role, state: State) -> None:
    assert bool(DOES[role, state]) is (state is not State.CLOSED)
    if state not in BOUND:
        assert not MAY_SEND[role, state]
