"""smpplib, which knows plain SMS, and we read each other's PDUs alike, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpplib import command as commands
from smpplib import smpp as smpplib
from smpplib.client import SimpleSequenceGenerator

from smpp.constants import RESPONSE_BIT, CommandId, Tag
from smpp.pdu import Alert, Bare, Bind, BindResp, Message, MessageResp, Password, Pdu, decode, encode
from smpp.specs import FIELDS, Kind


class _Client:
    """What smpplib wants of whoever makes a PDU: a source of sequence numbers."""

    next_sequence = SimpleSequenceGenerator().next_sequence


MESSAGES = {
    CommandId.SUBMIT_SM: commands.SubmitSM,
    CommandId.DELIVER_SM: commands.DeliverSM,
    CommandId.DATA_SM: commands.DataSM,
}
BINDS = (CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)
RESPONSES = (CommandId.SUBMIT_SM_RESP, CommandId.DELIVER_SM_RESP, CommandId.DATA_SM_RESP)
BARE = (
    CommandId.ENQUIRE_LINK,
    CommandId.ENQUIRE_LINK_RESP,
    CommandId.UNBIND,
    CommandId.UNBIND_RESP,
    CommandId.GENERIC_NACK,
)

USSD = {"ussd_service_op", "its_session_info"}
"""SMS have none; and smpplib fails over a deliver_sm with the first."""
OCTETS = {"message_payload": (1, 200), "network_error_code": (3, 3), "callback_num": (4, 19)}
SUBUNIT = "source_addr_subunit"
"""One octet (SMPP 3.4 §5.3.2.2), of which smpplib makes two in a submit_sm."""

octets = st.integers(0, 0xFF)
sequences = st.integers(1, 0x7FFFFFFF)
statuses = st.integers(0, 0x4FF)


def words(most: int) -> st.SearchStrategy[str]:
    """Return texts of at most so many octets with the closing NUL."""
    return st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=most - 1)


def name(command: int) -> str:
    return CommandId(command).name.lower()


def value_of(parameter: Any, kind: Kind) -> st.SearchStrategy[Any]:
    if kind is Kind.OCTET:
        return octets
    return st.binary(max_size=parameter.max) if kind is Kind.COUNTED else words(parameter.max)


def tlvs_of(command: CommandId) -> dict[str, st.SearchStrategy[Any]]:
    """Return the TLVs of a command that both know, each with its values as smpplib takes them."""
    known: dict[str, st.SearchStrategy[Any]] = {}
    mandatory = {field for field, _ in FIELDS[command]} | {"sm_length"}
    for field, parameter in MESSAGES[command].params.items():
        if field in mandatory or field in USSD or field == SUBUNIT:
            continue
        if field in OCTETS:
            least, most = OCTETS[field]
            known[field] = st.binary(min_size=least, max_size=most)
        elif field == "receipted_message_id":
            known[field] = words(parameter.max).filter(bool)
        elif parameter.type is int:
            known[field] = st.integers(0, (1 << 8 * parameter.size) - 1)
    return known


def as_octets(command: CommandId, field: str, value: Any) -> bytes:
    """Return a TLV's value as it travels."""
    if isinstance(value, int):
        return value.to_bytes(MESSAGES[command].params[field].size, "big")
    return value.encode() + b"\0" if isinstance(value, str) else value


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, dict[str, Any]]:
    """Draw an SMS, and the same as smpplib names its fields and TLVs."""
    command = draw(st.sampled_from(sorted(MESSAGES)))
    parameters = MESSAGES[command].params
    fields = {field: draw(value_of(parameters[field], kind)) for field, kind in FIELDS[command]}
    known = tlvs_of(command)
    if fields.get("short_message"):
        known.pop("message_payload")  # never both
    tlvs = draw(st.fixed_dictionaries({}, optional=known))
    raw = {int(Tag[field.upper()]): as_octets(command, field, value) for field, value in tlvs.items()}
    return Message(command, draw(sequences), **fields, tlvs=raw), fields | tlvs


def written(pdu: Pdu, **fields: Any) -> bytes:
    """Return what smpplib writes for the same PDU."""
    made: Any = smpplib.make_pdu(
        name(pdu.command), client=_Client(), sequence=pdu.sequence, status=pdu.status, **fields
    )
    return made.generate()  # type: ignore[no-any-return]


def read(pdu: Pdu) -> Any:
    """Return what smpplib reads in what we write for a PDU; command, sequence and status are compared already."""
    seen: Any = smpplib.parse_pdu(encode(pdu), client=_Client(), allow_unknown_opt_params=False)
    assert (seen.command, seen.sequence, seen.status) == (name(pdu.command), pdu.sequence, pdu.status)
    return seen


def plain(value: Any) -> Any:
    """Return a value in one form, however it was read: nothing for what is empty, octets for a text."""
    return value.encode() if isinstance(value, str) else value or b"" if not isinstance(value, int) else value


@given(messages())
def test_we_read_the_sms_that_smpplib_writes(both: tuple[Message, dict[str, Any]]) -> None:
    message, fields = both
    assert decode(written(message, **fields)) == message


@given(messages())
def test_smpplib_reads_the_sms_that_we_write(both: tuple[Message, dict[str, Any]]) -> None:
    message, fields = both
    seen = read(message)
    for field, value in fields.items():
        assert plain(getattr(seen, field)) == plain(value), field


def test_every_tlv_of_sms_that_both_know_is_compared() -> None:
    known = {command: set(tlvs_of(command)) for command in MESSAGES}
    sar = {"sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum", "user_message_reference", "message_payload"}
    receipt = {"receipted_message_id", "message_state", "network_error_code"}
    assert known[CommandId.SUBMIT_SM] > sar
    assert known[CommandId.DELIVER_SM] > sar | receipt
    assert known[CommandId.DATA_SM] > sar | receipt


@given(st.sampled_from(BINDS), sequences, words(16), words(9), words(13), st.tuples(octets, octets), words(41))
def test_binds_are_read_alike(
    command: int, sequence: int, system_id: str, password: str, kind: str, address: tuple[int, int], addresses: str
) -> None:
    bind = Bind(command, sequence, 0, system_id, Password(password), kind, 0x34, *address, addresses)
    fields = {
        "system_id": system_id,
        "password": password,
        "system_type": kind,
        "interface_version": 0x34,
        "addr_ton": address[0],
        "addr_npi": address[1],
        "address_range": addresses,
    }
    assert decode(written(bind, **fields)) == bind
    seen = read(bind)
    assert {field: plain(getattr(seen, field)) for field in fields} == {
        field: plain(value) for field, value in fields.items()
    }


@given(st.sampled_from(BINDS), sequences, statuses, words(16), st.none() | octets)
def test_responses_to_binds_are_read_alike(
    bind: int, sequence: int, status: int, system_id: str, version: int | None
) -> None:
    tlvs = {} if version is None else {int(Tag.SC_INTERFACE_VERSION): bytes((version,))}
    response = BindResp(bind | RESPONSE_BIT, sequence, status, system_id, tlvs)
    assert decode(written(response, system_id=system_id, sc_interface_version=version)) == response
    seen = read(response)
    assert (plain(seen.system_id), seen.sc_interface_version) == (system_id.encode(), version)


@given(st.sampled_from(RESPONSES), sequences, statuses, words(65))
def test_responses_to_messages_are_read_alike(command: int, sequence: int, status: int, message_id: str) -> None:
    response = MessageResp(command, sequence, status, message_id)
    assert decode(written(response, message_id=message_id)) == response
    assert plain(read(response).message_id) == message_id.encode()


@pytest.mark.parametrize("command", BARE, ids=name)
@given(sequence=sequences, status=statuses)
def test_what_has_no_body_is_read_alike(command: int, sequence: int, status: int) -> None:
    bare = Bare(command, sequence, status)
    assert decode(written(bare)) == bare
    assert encode(bare) == written(bare)
    read(bare)


@given(sequences, words(21), words(21), octets, st.none() | octets)
def test_an_alert_is_read_alike(sequence: int, source: str, esme: str, ton: int, available: int | None) -> None:
    tlvs = {} if available is None else {int(Tag.MS_AVAILABILITY_STATUS): bytes((available,))}
    alert = Alert(CommandId.ALERT_NOTIFICATION, sequence, 0, ton, 1, source, ton, 1, esme, tlvs)
    fields = {
        "source_addr_ton": ton,
        "source_addr_npi": 1,
        "source_addr": source,
        "esme_addr_ton": ton,
        "esme_addr_npi": 1,
        "esme_addr": esme,
        "ms_availability_status": available,
    }
    assert decode(written(alert, **fields)) == alert
    seen = read(alert)
    assert {field: plain(getattr(seen, field)) for field in fields} == {
        field: plain(value) for field, value in fields.items()
    }
