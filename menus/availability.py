"""When and for whom a service is there."""

from dataclasses import dataclass

from menus.nodes import Wording


@dataclass(frozen=True)
class Availability:
    """When and for whom the service is there: milliseconds, `until` excluded; beginnings of numbers, and numbers.

    Whoever sets no bound gives `-inf` or `inf`; the beginning "" is that of every number.
    """

    first: float
    until: float
    prefixes: tuple[str, ...]
    numbers: frozenset[str]
    outside: Wording

    def covers(self, msisdn: str, now: int) -> bool:
        """Whether the service is there for this subscriber now."""
        return self.first <= now < self.until and (msisdn.startswith(self.prefixes) or msisdn in self.numbers)
