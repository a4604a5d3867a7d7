"""Faults in the loop: their timer, the connection that each happens to, and what the simulator asks of them."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from smpp.constants import Status
from smpp.transport import Connection
from ussd_server.simulator import faults
from ussd_server.simulator.faults import KINDS, Fault, Faults, Going, Kind, Script
from ussd_server.simulator.protocol import FaultForm
from ussd_server.simulator.transit import RecordedLink

log = structlog.get_logger()


_FIRST: Final = {"for_ms": 5_000, "by_ms": 2_000, "messages": 3, "status": int(Status.RTHROTTLED)}


def _form(kind: Kind) -> FaultForm:
    """Return what a page asks for: of two ways to say how long, the messages; octets are for files."""
    form = faults.FORMS[kind]
    names = tuple(name for name in (*form.needs, *form.spans[1:], *form.takes) if name != "octets")
    return FaultForm(kind, names, replace(Fault(kind), **{name: _FIRST[name] for name in names if name in _FIRST}))


FORMS: Final = tuple(_form(kind) for kind in KINDS)
"""What the page offers."""


class Trouble:
    """What is wrong with the network of a simulator.

    `first` returns the connection that was bound first, `changed` is called whenever something begins or ends.
    """

    def __init__(
        self,
        script: Script | None,
        clock: Callable[[], int],
        first: Callable[[], Connection | None],
        changed: Callable[[], None],
    ) -> None:
        self._faults = Faults(script)
        self._clock = clock
        self._first = first
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to play the script."""
        self._faults.start(self._clock())
        self._tick()

    def stop(self) -> None:
        """Let nothing begin any more."""
        self._faults.calm()
        self._wind()

    def inject(self, fault: Fault) -> bool:
        """Let a fault begin now; False where it needs a connection and there is none."""
        connection = self._first()
        happens = self._begin(fault, connection)
        self._tell()
        return happens

    def calm(self) -> None:
        """End what is under way, and the script."""
        self._faults.calm()
        self._tell()

    def message(self, connection: Connection) -> None:
        """Take note that a message has passed on this connection, either way."""
        before = self.going
        for fault in self._faults.message(self._clock()):
            self._begin(fault, connection)
        if self.going != before:
            self._tell()

    @property
    def going(self) -> tuple[Going, ...]:
        """What is under way."""
        return self._faults.going(self._clock())

    @property
    def silent(self) -> bool:
        """Whether nothing is written."""
        return self._faults.silent(self._clock())

    @property
    def delay_ms(self) -> int:
        """How long everything is held."""
        return self._faults.delay_ms(self._clock())

    def doubles(self) -> bool:
        """Whether this message is delivered twice."""
        return self._faults.doubles(self._clock())

    def refusal(self, ussd: bool) -> int:
        """Return the status that this submit_sm is refused with, 0 where it is taken."""
        return self._faults.refusal(ussd, self._clock())

    def _begin(self, fault: Fault, connection: Connection | None) -> bool:
        log.info("fault", kind=fault.kind)
        if self._faults.begin(fault, self._clock()):
            return True
        if connection is None:
            return False
        # Not before what passed just now is written.
        asyncio.get_running_loop().call_soon(_strike, fault, connection)
        return True

    def _tick(self) -> None:
        for fault in self._faults.tick(self._clock()):
            self._begin(fault, self._first())
        self._tell()

    def _tell(self) -> None:
        self._wind()
        self._changed()

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._faults.timer()
        self._timer = None
        if due is not None:
            delay = max(0, due - self._clock()) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)


def _strike(fault: Fault, connection: Connection) -> None:
    """Let a fault happen to one connection."""
    link = connection.link
    assert isinstance(link, RecordedLink)
    if fault.kind == "drop":
        connection.close()
    elif fault.kind == "slow":
        connection.rest(fault.for_ms)
    else:
        link.suffer(fault)
        connection.flush()
