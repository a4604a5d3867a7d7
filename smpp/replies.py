"""A dialect's replies, written from templates: the same octets as `ussd.reply` and the codec make, at a fraction of it.

Every USSD step passes here. Of a reply only the subscriber's number and the session are its own: what comes before the
number is known with the likeness of what is answered, and screens come again.
"""

from struct import Struct
from typing import Final

import msgspec

from smpp.alphabets import Encoded
from smpp.constants import HEADER_OCTETS, CommandId, Tag
from smpp.dialect import Dialect, Mark
from smpp.inputs import Heard, heads_of
from smpp.pdu import Message, Packed, encode
from smpp.ussd import Session, reply

_SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
_USSD_SERVICE_OP: Final = int(Tag.USSD_SERVICE_OP)
_pack_tlv_head = Struct(">HH").pack
_pack_fields = Struct("8xBxB").pack  # the NUL of the number, then esm_class to sm_length, of which two are not 0


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A screen as replies have it: `octets` from the end of the subscriber's number to the end of short_message."""

    encoded: Encoded
    octets: bytes


class Replies:
    """Writes the replies of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._templates = dialect.submit == _SUBMIT_SM
        self._menu, self._end, self._end_pushed = map(_op_tlv, (dialect.menu_as, dialect.end_as, dialect.end_pushed_as))
        tag = dialect.session_tag
        self._session_head = b"" if tag is None else _pack_tlv_head(tag, dialect.session_octets)

    def shown(self, encoded: Encoded) -> Shown:
        """Make a screen ready. Raises `ValueError` where the text does not fit into its PDU."""
        if not self._templates:  # a data_sm has its text elsewhere
            return Shown(encoded, b"")
        if len(encoded.data) > 255:
            raise ValueError(f"short_message holds 255 octets, not {len(encoded.data)}")
        return Shown(encoded, _pack_fields(encoded.data_coding, len(encoded.data)) + encoded.data)

    def write(self, received: Message | Heard, session: Session, shown: Shown, ends: bool, pushed: bool) -> Packed:
        """Write the reply to a begin or answer as it was received, of this session (`ussd.session_of`).

        `ends` and `pushed` are those of `ussd.reply`.
        """
        if not self._templates:
            whole = received.in_full() if type(received) is Heard else received
            made = reply(whole, shown.encoded, ends=ends, dialect=self._dialect, pushed=pushed)
            return Packed(made.command, encode(made)[HEADER_OCTETS:])
        heads = received.likeness.heads if type(received) is Heard else heads_of(received, self._dialect)
        if not ends:
            head, tlvs, echo = heads.menu, self._menu, session.in_menu
        elif pushed:
            head, tlvs, echo = heads.end_pushed, self._end_pushed, session.in_end
        else:
            head, tlvs, echo = heads.end, self._end, session.in_end
        if echo is not None:
            tlvs += self._session_head + echo
        return Packed(_SUBMIT_SM, head + received.source_addr.encode("latin-1") + shown.octets + tlvs)


def _op_tlv(mark: Mark) -> bytes:
    return b"" if mark.op is None else _pack_tlv_head(_USSD_SERVICE_OP, len(mark.op)) + mark.op
