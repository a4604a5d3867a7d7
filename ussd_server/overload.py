"""Watches over what is refused for too much to do: lets the limit follow the time, and says in the log what happens."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from ussd_server.metrics import Metrics
from ussd_server.turns.admission import Admission, Kind

log = structlog.get_logger()

CALM_S: Final = 10.0
"""After so long without a refusal it is over; so there are at most two log lines in so long."""


class Overload:
    """Shows the admission to whoever is not a turn.

    `under_way` returns how many turns are, `screens` for how long screens stand in line at each SMSC (s).
    """

    def __init__(
        self,
        admission: Admission,
        under_way: Callable[[], int],
        screens: Callable[[], Mapping[str, float]],
        metrics: Metrics,
    ) -> None:
        self._admission = admission
        self._under_way = under_way
        self._screens = screens
        self._told: Counter[Kind] = Counter()
        self._seen = 0
        self._since = self._last = 0.0
        self._shedding = False
        metrics.turns_under_way = under_way
        metrics.turns_waiting = lambda: admission.waiting
        metrics.turns_limit = lambda: admission.limit
        metrics.standing_delay = lambda: admission.delay
        metrics.shed = lambda: {
            **{kind.name.lower(): admission.shed[kind] for kind in Kind},
            "one_subscriber": admission.crowded,
        }

    def admits_visit(self) -> bool:
        """Return whether a terminal may begin something now; what may not is counted."""
        admitted = self._admission.admits(Kind.VISIT, self._under_way())
        if not admitted:
            self._admission.refuse(Kind.VISIT)
        return admitted

    def pressed(self) -> bool:
        """Return whether work that nobody waits for should wait."""
        return self._admission.pressed

    def tick(self, now: float) -> None:
        """Let the limit follow; to be called several times in a second with the loop's time (s)."""
        admission = self._admission
        admission.tick(now)
        total = admission.shed.total()
        if total > self._seen:
            self._seen, self._last = total, now
            if not self._shedding:
                self._shedding, self._since = True, now
                log.warning(
                    "overload, what is new is refused",
                    delay_ms=round(admission.delay * 1000),
                    limit=admission.limit,
                    turns_waiting=admission.waiting,
                    turns_under_way=self._under_way(),
                    screens_delay_ms={smsc: round(delay * 1000) for smsc, delay in self._screens().items()},
                )
        elif self._shedding and now - self._last >= CALM_S:
            self._shedding = False
            refused = {kind.name.lower(): count for kind, count in (admission.shed - self._told).items()}
            self._told = admission.shed.copy()
            log.info("overload is over", lasted_seconds=round(self._last - self._since, 1), refused=refused)
