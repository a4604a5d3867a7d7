"""The delivery receipts that come to one account: each is answered when what it says is kept."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from smpp import receipts
from smpp.constants import Status
from smpp.pdu import Message
from smpp.receipts import Base
from smpp.transport import Connection
from ussd_server.outage import Outage
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.stores.base import StoreUnavailable
from ussd_server.subscribers.msisdn import NotSubscriber, parse
from ussd_server.turns.eager import Eager

log = structlog.get_logger()

MOST_RECEIPTS: Final = 1000
"""Receipts of one account that are being kept at once; the SMSC repeats what is more."""


class Receipts:
    """Takes the receipts of one account, which writes message ids in them in this `base`."""

    def __init__(
        self, account: str, base: Base, deliveries: Deliveries, *, country: str, now: Callable[[], int]
    ) -> None:
        self._account = account
        self._base = base
        self._deliveries = deliveries
        self._country = country
        self._now = now
        self._under_way = 0
        self._outage = Outage("store unavailable, receipt refused")

    def take(self, connection: Connection, message: Message) -> None:
        """Answer a receipt when what it says is kept."""
        if self._under_way >= MOST_RECEIPTS:
            connection.respond(message, Status.RX_T_APPN)
            return
        self._under_way += 1
        Eager(self._keep(connection, message), lambda error: log.error("receipt failed", exc_info=error))

    async def _keep(self, connection: Connection, message: Message) -> None:
        receipt = receipts.parse(message)
        receipt = msgspec.structs.replace(receipt, message_id=receipts.same_id(receipt.message_id, self._base))
        # It comes from the number that the SMS went to; some SMSCs leave the addresses as they were.
        source = parse(message.source_addr, message.source_addr_ton, message.source_addr_npi, self._country)
        destination = parse(message.destination_addr, message.dest_addr_ton, message.dest_addr_npi, self._country)
        msisdns = [number for number in (source, destination) if not isinstance(number, NotSubscriber)]
        try:
            await self._deliveries.take(self._account, msisdns, receipt)
        except StoreUnavailable as error:
            self._outage.failed(self._now(), smsc=self._account, cause=str(error))
            connection.respond(message, Status.RX_T_APPN)
        else:
            connection.respond(message)
        finally:
            self._under_way -= 1
