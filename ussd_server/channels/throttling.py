"""What an account does when its SMSC says that it is too fast: all that it sends stands still, and then goes slower."""

import asyncio

import structlog

from smpp.constants import status_name
from ussd_server.channels.binds import Binds
from ussd_server.channels.pace import Pace
from ussd_server.metrics import Metrics

log = structlog.get_logger()


class Throttling:
    """Slows one account's `pace`, and holds what waits for the windows of its binds."""

    def __init__(self, account: str, rate: float | None, binds: Binds, metrics: Metrics) -> None:
        self.pace = pace = Pace(rate)
        self._account = account
        self._binds = binds
        self._metrics = metrics
        metrics.sms_limit[account] = lambda: pace.limit or 0

    def throttled(self, status: int) -> None:
        """Stand still for a moment, then go on slower. What is under way says the same, which is no news."""
        self._metrics.pdu_errors["out", status_name(status)] += 1
        self._metrics.throttled[self._account] += 1
        now = asyncio.get_running_loop().time()
        if not self.pace.throttled(now):
            return
        pause = self.pace.wait(now)
        self._binds.hold(round(pause * 1000))  # what its window kept waiting
        log.warning(
            "throttled by the SMSC",
            smsc=self._account,
            status=status_name(status),
            pause_seconds=round(pause, 1),
            sms_a_second=round(self.pace.limit or 0, 1),
        )
