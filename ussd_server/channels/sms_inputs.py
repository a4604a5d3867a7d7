"""An SMS to a service number on its way: in as an input, and responded to when what it led to is kept."""

from collections.abc import Mapping
from functools import partial

from smpp.constants import Status
from smpp.inputs import Texted
from smpp.pdu import Message
from smpp.reassembly import Part
from smpp.transport import Connection
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.binds import BoundLink
from ussd_server.channels.intake import Intake
from ussd_server.channels.sms import SMS


class SmsInputs:
    """Makes inputs of the SMS that come to one account."""

    def __init__(self, account: str, links: Mapping[Connection, BoundLink], intake: Intake) -> None:
        self._account = account
        self._links = links
        self._intake = intake

    def put(
        self,
        connection: Connection,
        received: Message | Texted,
        msisdn: str,
        number: str,
        text: str,
        now: int,
        part: Part | None = None,
    ) -> None:
        """Make an input of what this subscriber wrote to a service number, or of a part of it."""
        input = Input(
            msisdn,
            SMS,
            "message",
            text,
            self._account,
            number,
            self._links[connection].name,
            received.sequence,
            now,
            connection.read_at,
            number=number,
            part=part,
        )
        self._intake.read.append((input, partial(_answer, connection, received)))


def _answer(connection: Connection, received: Message | Texted, answer: Answer) -> None:
    """Respond to an SMS, now that what it led to is kept, and goes out from the outbox."""
    if answer.durable:
        connection.respond(received)
    else:
        connection.respond(received, Status.RTHROTTLED if answer.busy else Status.RX_T_APPN)
