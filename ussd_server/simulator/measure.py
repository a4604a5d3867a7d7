"""How much a message holds: the budgets of USSD and SMS, and what a text takes of them."""

import msgspec

from smpp.constants import DataCoding, Tag
from smpp.dialect import STANDARD, Dialect
from smpp.pdu import Message
from smpp.reassembly import mark_of
from smpp.ussd import is_ussd
from ussd_server.simulator.phone import Usage

USSD_OCTETS, USSD_SEPTETS, USSD_UNITS = 160, 182, 80
"""What one USSD message holds: 160 octets, which are 182 packed septets or 80 UCS-2 units (3GPP TS 23.038, 6.1.2.3)."""

SMS_SEPTETS, SMS_OCTETS, SMS_UNITS = 160, 140, 70
"""What one short message holds (3GPP TS 23.040, 9.2.3.24)."""


class PartView(msgspec.Struct, frozen=True):
    """Which part of a long message this is, from 1."""

    reference: int
    index: int
    total: int


def usage(message: Message, dialect: Dialect = STANDARD) -> Usage:
    """Measure a message's text against what its bearer carries in its alphabet."""
    octets = len(message.user_data)
    alphabet, used, ussd, sms, in_parts = measures(message.data_coding, octets)
    if is_ussd(message, dialect):
        return Usage(alphabet, used, {"GSM-7": dialect.septets, "UCS-2": dialect.ucs2_units}.get(alphabet, ussd))
    if used <= sms and part_of(message) is None:
        return Usage(alphabet, used, sms)
    parts = max(1, -(-used // in_parts))
    return Usage(alphabet, used, parts * in_parts, parts)


def fits(message: Message, dialect: Dialect = STANDARD) -> bool:
    """Tell whether one message of the bearer holds this text, its user data header included."""
    measured = usage(message, dialect)
    ussd = is_ussd(message, dialect)
    if ussd and measured.used > measured.budget:
        return False
    if Tag.MESSAGE_PAYLOAD in message.tlvs:
        return True
    header = len(message.short_message) - len(message.user_data)
    octets = -(-measured.used * 7 // 8) if measured.alphabet == "GSM-7" else len(message.user_data)
    return header + octets <= (USSD_OCTETS if ussd else SMS_OCTETS)


def measures(data_coding: int, octets: int) -> tuple[str, int, int, int, int]:
    """Return the alphabet, the units used, and the budgets of USSD, of an SMS alone and of a part of a long one."""
    header = 6  # octets of a user data header with an 8-bit reference; a 16-bit one takes one more
    if data_coding in (DataCoding.UCS2, DataCoding.USSD_UCS2) or 0x18 <= data_coding <= 0x1B:
        return "UCS-2", octets // 2, USSD_UNITS, SMS_UNITS, (SMS_OCTETS - header) // 2
    if data_coding in (DataCoding.DEFAULT, DataCoding.GSM7) or 0xF0 <= data_coding <= 0xF3:
        return "GSM-7", octets, USSD_SEPTETS, SMS_SEPTETS, SMS_SEPTETS - 7
    return "8-bit", octets, USSD_OCTETS, SMS_OCTETS, SMS_OCTETS - header


def part_of(message: Message) -> PartView | None:
    """Find which part of a long message this is, by its user data header or its SAR TLVs."""
    mark = mark_of(message)
    return None if mark is None else PartView(mark.reference, mark.number, mark.total)
