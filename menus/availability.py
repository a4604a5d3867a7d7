"""When and for whom a service is there."""

from dataclasses import dataclass

from menus.nodes import Wording


@dataclass(frozen=True)
class Availability:
    """When and for whom the service is there: milliseconds, `until` excluded; numbers and beginnings of numbers."""

    first: int | None
    until: int | None
    numbers: frozenset[str] | None
    prefixes: tuple[str, ...]
    outside: Wording

    def covers(self, msisdn: str, now: int) -> bool:
        """Whether the service is there for this subscriber now."""
        if (self.first is not None and now < self.first) or (self.until is not None and now >= self.until):
            return False
        return self.numbers is None or msisdn in self.numbers or msisdn.startswith(self.prefixes)
