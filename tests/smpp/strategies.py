"""PDUs of every kind, for properties."""

from hypothesis import strategies as st

from smpp.constants import CommandId, Tag
from smpp.pdu import Alert, Bare, Bind, BindResp, Message, MessageResp, Outbind, Password, Unknown
from smpp.specs import FIELDS

octets = st.integers(0, 255)
words = st.integers(0, 0xFFFFFFFF)
cstrings = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=21)
tlvs = st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=6)
other_tlvs = st.dictionaries(
    st.integers(0, 0xFFFF).filter(lambda tag: tag != Tag.MESSAGE_PAYLOAD), st.binary(max_size=40), max_size=6
)
pairs = st.builds(
    lambda tags, one, other: dict(zip(tags, (one, other), strict=True)),
    st.permutations([Tag.USSD_SERVICE_OP, Tag.ITS_SESSION_INFO]) | st.tuples(st.just(0), st.integers(1, 0xFFFF)),
    st.binary(min_size=1, max_size=2),
    st.binary(min_size=1, max_size=2),
).filter(lambda tlvs: Tag.MESSAGE_PAYLOAD not in tlvs)
"""What a USSD message has, in one octet and two or otherwise."""
times = st.just("") | cstrings

_addresses = {
    "sequence": words,
    "status": words,
    "service_type": cstrings,
    "source_addr_ton": octets,
    "source_addr_npi": octets,
    "source_addr": cstrings,
    "dest_addr_ton": octets,
    "dest_addr_npi": octets,
    "destination_addr": cstrings,
    "esm_class": octets,
    "registered_delivery": octets,
    "data_coding": octets,
}
long_messages = st.builds(
    Message,
    st.sampled_from([CommandId.SUBMIT_SM, CommandId.DELIVER_SM]),
    **_addresses,
    protocol_id=octets,
    priority_flag=octets,
    schedule_delivery_time=times,
    validity_period=times,
    replace_if_present_flag=octets,
    sm_default_msg_id=octets,
    short_message=st.binary(max_size=255),
    tlvs=pairs | other_tlvs,
)
data_messages = st.builds(Message, st.just(CommandId.DATA_SM), **_addresses, tlvs=tlvs)
binds = st.builds(
    Bind,
    st.sampled_from([CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER]),
    words,
    words,
    cstrings,
    st.builds(Password, cstrings),
    cstrings,
    octets,
    octets,
    octets,
    cstrings,
    tlvs,
)
bind_responses = st.builds(
    BindResp,
    st.sampled_from([CommandId.BIND_TRANSCEIVER_RESP, CommandId.BIND_TRANSMITTER_RESP, CommandId.BIND_RECEIVER_RESP]),
    words,
    words,
    cstrings,
    tlvs,
)
message_responses = st.builds(
    MessageResp,
    st.sampled_from([CommandId.SUBMIT_SM_RESP, CommandId.DELIVER_SM_RESP, CommandId.DATA_SM_RESP]),
    words,
    words,
    cstrings,
    tlvs,
)
bares = st.builds(
    Bare,
    st.sampled_from([command for command in CommandId if FIELDS[command] == ()]),
    words,
    words,
)
outbinds = st.builds(Outbind, st.just(CommandId.OUTBIND), words, words, cstrings, st.builds(Password, cstrings))
alerts = st.builds(
    Alert,
    st.just(CommandId.ALERT_NOTIFICATION),
    words,
    words,
    octets,
    octets,
    cstrings,
    octets,
    octets,
    cstrings,
    tlvs,
)
unknowns = st.builds(Unknown, words.filter(lambda command: command not in FIELDS), words, words, st.binary(max_size=60))

pdus = st.one_of(
    long_messages, data_messages, binds, bind_responses, message_responses, bares, outbinds, alerts, unknowns
)
