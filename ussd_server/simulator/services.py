"""The services that are bound: who may be, and by which of their links a message goes."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from smpp.constants import CommandId, Status
from smpp.pdu import Bind
from smpp.transport import Connection
from ussd_server.secrecy.secrets import Secret
from ussd_server.simulator import protocol
from ussd_server.simulator.transit import RecordedLink

NAME: Final = "simulator"
"""The system_id that services are told."""


@dataclass(frozen=True)
class Service:
    """A service that is bound."""

    link: int
    system_id: str
    command: int
    peer: str

    @property
    def takes(self) -> bool:
        """Whether messages can be delivered to it: a transmitter only submits."""
        return self.command != CommandId.BIND_TRANSMITTER

    @property
    def mode(self) -> str:
        """How it is bound, in a word."""
        return CommandId(self.command).name.removeprefix("BIND_").lower()


class Services:
    """Their links. `accounts` are the system ids that may bind, with their passwords; None lets anybody bind."""

    def __init__(self, accounts: Mapping[str, Secret[str]] | None) -> None:
        self._accounts = accounts
        self._bound: dict[Connection, Service] = {}
        self._turns = 0

    def bind(self, connection: Connection, bind: Bind) -> bool:
        """Take a bind, or refuse it."""
        status = self._check(bind)
        if status != Status.ROK:
            connection.refuse(bind, status)
            return False
        link = connection.link
        assert isinstance(link, RecordedLink)
        link.system_id = bind.system_id
        self._bound[connection] = Service(link.number, bind.system_id, bind.command, connection.peer)
        connection.accept(bind, NAME)
        return True

    def _check(self, bind: Bind) -> Status:
        """Decide about a bind by name and password."""
        if self._accounts is None:
            return Status.ROK
        password = self._accounts.get(bind.system_id)
        if password is None:
            return Status.RINVSYSID
        right = hmac.compare_digest(password.reveal().encode(), bind.password.reveal().encode())
        return Status.ROK if right else Status.RINVPASWD

    def closed(self, connection: Connection) -> Service | None:
        """Forget a link; return whose it was, None where it was not bound."""
        return self._bound.pop(connection, None)

    def at(self, connection: Connection) -> Service | None:
        """Return who is bound by this link."""
        return self._bound.get(connection)

    def account(self, connection: Connection) -> str:
        """Return the system id of who is bound by this link."""
        return self._bound[connection].system_id

    def first(self) -> Connection | None:
        """Return the link that has been bound longest."""
        return next(iter(self._bound), None)

    def route(self, account: str) -> Connection | None:
        """Choose a link of the account, or of any where none is given, each in its turn."""
        able = [
            connection
            for connection, service in self._bound.items()
            if service.takes and connection.link.bound and account in ("", service.system_id)
        ]
        self._turns += 1
        return able[self._turns % len(able)] if able else None

    def binds(self) -> tuple[protocol.Bound, ...]:
        """Return them as pages see them."""
        return tuple(
            protocol.Bound(service.link, service.system_id, service.mode, service.peer)
            for service in self._bound.values()
        )
