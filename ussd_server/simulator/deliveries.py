"""Messages on their way to services: an SMS that none takes now is kept and tried again, a USSD message is not."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from smpp.constants import EsmClass, Status
from smpp.errors import TRANSIENT
from smpp.pdu import Message
from ussd_server.simulator.phone import Delivery as Where
from ussd_server.simulator.phone import Phone, PhoneView, Reason, Utterance
from ussd_server.simulator.services import Services
from ussd_server.simulator.transit import Line
from ussd_server.simulator.trouble import Trouble

MOST_WAITING: Final = 1_000
"""SMS kept for services that do not take them; beyond it the oldest is given up."""

RETRY_MS: Final = 5_000
MOST_TRIES: Final = 12


@dataclass(eq=False)
class Subscriber:
    """A phone, the account and the service's number that its dialogue is with, and what could be delivered again."""

    phone: Phone
    account: str = ""
    code: str = ""
    last: "Outgoing | None" = None
    timer: asyncio.TimerHandle | None = None

    def view(self) -> PhoneView:
        """Return what pages see of it."""
        return self.phone.view(delivered=self.last is not None)


@dataclass(eq=False)
class Letter:
    """An SMS that a phone sent: its id there, where it is, and how many of its parts a service has yet to take."""

    id: int
    left: int
    where: Where = "sending"


@dataclass(frozen=True, eq=False)
class Outgoing:
    """A message on its way to a service. `account` "" means whichever is bound."""

    message: Message
    subscriber: Subscriber
    account: str = ""
    utterance: Utterance | None = None
    letter: Letter | None = None
    tries: int = 1


class Deliveries:
    """What is under way to services by `line`, and what waits for one. `changed` is told whose phone shows more now."""

    def __init__(self, services: Services, line: Line, trouble: Trouble, changed: Callable[[Subscriber], None]) -> None:
        self._services = services
        self._line = line
        self._trouble = trouble
        self._changed = changed
        self._waiting: deque[Outgoing] = deque(maxlen=MOST_WAITING)
        self._retry: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Try nothing again by itself."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def pass_on(self, delivery: Outgoing) -> None:
        """Deliver a message when its delay is over."""
        self._line.pass_on(lambda: self._deliver(delivery))

    def _deliver(self, delivery: Outgoing) -> None:
        """Send a message to a service, or do what the network does when there is none."""
        subscriber, utterance = delivery.subscriber, delivery.utterance
        account = delivery.account
        if utterance is not None and utterance.kind != "begin":
            account = account or subscriber.account
            if not account:
                return  # the service never heard of the dialogue
        connection = self._services.route(account)
        if connection is None or not connection.send(delivery.message, delivery):
            self._undeliverable(delivery)
            return
        if not delivery.message.esm_class & EsmClass.DELIVERY_RECEIPT:
            first, subscriber.last = subscriber.last is None, delivery
            if first:
                self._changed(subscriber)  # now it can be delivered again
        if utterance is not None and utterance.kind == "begin":
            subscriber.account = self._services.account(connection)
        if self._trouble.doubles():
            connection.send(delivery.message, replace(delivery, letter=None))
        self._trouble.message(connection)

    def _undeliverable(self, delivery: Outgoing) -> None:
        if delivery.utterance is not None:
            # A dialogue that has an account was with a service before.
            self._fail(delivery, "lost" if delivery.subscriber.account else "unreachable")
        else:
            self._store(delivery)

    def _fail(self, delivery: Outgoing, reason: Reason) -> None:
        """End the dialogue that a message belongs to; one that was begun since is another."""
        phone = delivery.subscriber.phone
        if delivery.utterance is not None and phone.is_open(delivery.utterance.session):
            phone.fail(reason)
            self._changed(delivery.subscriber)

    def _store(self, delivery: Outgoing) -> None:
        """Keep an SMS for later: until a service binds, or for a while where one is bound but does not take it."""
        if len(self._waiting) == MOST_WAITING:
            self._settle(self._waiting.popleft(), "refused")
        self._waiting.append(delivery)
        self._settle(delivery, "waiting")
        if self._retry is None and self._services.route(delivery.account) is not None:
            self._retry = asyncio.get_running_loop().call_later(RETRY_MS / 1000, self.forward)

    def forward(self) -> None:
        """Try again what waits."""
        self.stop()
        waiting = list(self._waiting)
        self._waiting.clear()
        for delivery in waiting:
            self._deliver(delivery)

    def _settle(self, delivery: Outgoing, how: Where) -> None:
        """Show on the phone where its SMS is: taken when every part is, refused when one is."""
        letter = delivery.letter
        if letter is None or letter.where == "refused":
            return
        if how == "sent":
            letter.left -= 1
            if letter.left:
                return
        if letter.where != how:
            letter.where = how
            delivery.subscriber.phone.mark(letter.id, how)
            self._changed(delivery.subscriber)

    def responded(self, delivery: Outgoing, status: int) -> None:
        """A service has answered."""
        if delivery.utterance is not None:
            if status != Status.ROK:
                self._fail(delivery, "refused")
        elif status == Status.ROK:
            self._settle(delivery, "sent")
        elif status in TRANSIENT and delivery.tries < MOST_TRIES:
            self._store(replace(delivery, tries=delivery.tries + 1))
        else:
            self._settle(delivery, "refused")

    def unanswered(self, delivery: Outgoing) -> None:
        """Nobody knows whether the service took it: deliver it again, as long as somebody waits for the outcome."""
        if delivery.utterance is None:
            if delivery.tries < MOST_TRIES:
                self._store(replace(delivery, tries=delivery.tries + 1))
            else:
                self._settle(delivery, "refused")
        elif delivery.subscriber.phone.is_open(delivery.utterance.session):
            self._deliver(replace(delivery, account=delivery.subscriber.account))
