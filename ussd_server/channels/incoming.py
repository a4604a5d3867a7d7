"""The way in: who a message of one account is from, and what it is: a USSD step, an SMS, a receipt, or to be left."""

from collections.abc import Mapping

import structlog

from smpp import ussd
from smpp.alphabets import Alphabet
from smpp.constants import CommandId, Status
from smpp.dialect import Dialect
from smpp.events import Delivered
from smpp.inputs import Heard, Texted
from smpp.pdu import Delivery, Message
from smpp.reassembly import part_of
from smpp.receipts import is_receipt
from smpp.transport import Connection
from ussd_server.channels import sms
from ussd_server.channels.binds import BoundLink
from ussd_server.channels.receipts import Receipts
from ussd_server.channels.sms_inputs import SmsInputs
from ussd_server.channels.ussd import done_by
from ussd_server.channels.ussd_steps import UssdStep, UssdSteps
from ussd_server.metrics import Metrics
from ussd_server.smsc_url import SmscUrl
from ussd_server.subscribers.msisdn import NotSubscriber, parse
from ussd_server.turns.admission import Backlog
from ussd_server.turns.conversation import Conversations

log = structlog.get_logger()


class Incoming:
    """Gives what comes to one account to `steps`, `texts` or `receipts`.

    Numbers without a country are of `country`. While the `backlog` is full, no dialogue begins.
    """

    def __init__(
        self,
        url: SmscUrl,
        dialect: Dialect,
        country: str,
        *,
        links: Mapping[Connection, BoundLink],
        steps: UssdSteps,
        texts: SmsInputs,
        receipts: Receipts,
        backlog: Backlog,
        conversations: Conversations,
        metrics: Metrics,
    ) -> None:
        self._account = str(url)
        self._dialect = dialect
        self._alphabet: Alphabet = url.default_alphabet or "gsm"
        """What data_coding 0 of an SMS means."""
        self._country = country
        self._links = links
        self._steps = steps
        self._texts = texts
        self._receipts = receipts
        self._backlog = backlog
        self._conversations = conversations
        self._metrics = metrics

    def heard(self, connection: Connection, heard: Heard, now: int) -> None:
        """Take a begin or an answer that was known by its likeness, as nearly all are; whoever tells counts it.

        `now` is in milliseconds.
        """
        likeness = heard.likeness
        msisdn = parse(heard.source_addr, likeness.source_addr_ton, likeness.source_addr_npi, self._country)
        if isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, heard, msisdn)
        elif likeness.begins and self._backlog.full:
            self._turn_away(connection, heard)
        else:
            if likeness.unnamed:
                self._note_unnamed(likeness.unnamed)
            steps, session = self._steps, heard.session
            step = UssdStep(steps, self._links[connection], heard, session, msisdn, shows=not likeness.last)
            steps.put(step, "dial" if likeness.begins else "reply", heard.text, session.sequence, now)

    def texted(self, connection: Connection, texted: Texted, now: int) -> None:
        """Take an SMS that was known by its likeness, as nearly all are; whoever tells counts it."""
        likeness = texted.likeness
        msisdn = parse(texted.source_addr, likeness.source_addr_ton, likeness.source_addr_npi, self._country)
        if isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, texted, msisdn)
        else:
            self._texts.put(connection, texted, msisdn, likeness.destination_addr, texted.text.strip(sms.BLANK), now)

    def delivered(self, connection: Connection, event: Delivered, now: int) -> None:
        """Take a message whose like was not read before, or of a kind that is always read in full."""
        message = event.pdu
        self._metrics.pdus["in", "data_sm" if message.command == CommandId.DATA_SM else "deliver_sm"] += 1
        msisdn = parse(message.source_addr, message.source_addr_ton, message.source_addr_npi, self._country)
        if is_receipt(message):
            self._receipts.take(connection, message)
        elif isinstance(msisdn, NotSubscriber):
            self._leave_alone(connection, message, msisdn)
        else:
            self._read(connection, message, msisdn, now)

    def _read(self, connection: Connection, message: Message, msisdn: str, now: int) -> None:
        session = ussd.session_of(message, self._dialect)
        heard = ussd.classify(message, self._dialect, None, session)
        if heard is None:
            part = part_of(message, msisdn, self._alphabet)
            text = sms.text_of(message, self._alphabet) if part is None else ""
            self._texts.put(connection, message, msisdn, message.destination_addr, text, now, part)
        elif self._backlog.full and isinstance(heard, ussd.Begin):
            self._turn_away(connection, message)
        else:
            shows = waits = True
            if isinstance(heard, ussd.Answer):
                shows = not heard.last
                if not heard.op_known:
                    self._note_unnamed(ussd.unnamed(message, self._dialect))
            else:
                waits = isinstance(heard, ussd.Begin)
            step = UssdStep(self._steps, self._links[connection], message, session, msisdn, shows=shows, waits=waits)
            kind, text, counted = done_by(heard)
            self._steps.put(step, kind, text, counted, now)

    # What is left -----------------------------------------------------------------------------------------------------

    def _leave_alone(self, connection: Connection, message: Delivery, sender: NotSubscriber) -> None:
        """Answer nothing to short codes, names, machines: nobody there reads it, and some would answer it."""
        self._metrics.suppressed[sender.reason] += 1
        log.info("no subscriber's number, not answered", reason=sender.reason)
        connection.respond(message)

    def _turn_away(self, connection: Connection, message: Delivery) -> None:
        self._metrics.turned_away[self._account] += 1
        self._conversations.not_handed_in()
        connection.respond(message, Status.RTHROTTLED)

    def _note_unnamed(self, sign: str) -> None:
        if sign:
            log.info(
                "operation that the dialect does not name", smsc=self._account, dialect=self._dialect.name, sign=sign
            )
