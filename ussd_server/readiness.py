"""Whether a process can serve, and what of it is away, as `/readyz` tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was looked at, by name: "" where it is well, else the reason in one line.

    All that is `needed` must be well, and one of the `ways` in and out, where there are any: whoever comes by that one
    is served, and a server that is taken out of service serves nobody. What only should be well is a warning: it is
    told where it is not, and changes nothing.
    """

    needed: Mapping[str, str]
    ways: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether it can serve."""
        return not any(self.needed.values()) and (not self.ways or not all(self.ways.values()))

    @property
    def degraded(self) -> bool:
        """Whether it serves some, and others not."""
        return self.ready and any(self.ways.values())

    @property
    def reasons(self) -> Mapping[str, str]:
        """All of it, of warnings those that there are."""
        # One that is well at one server and not at another must hold up no rolling restart.
        return {**self.needed, **self.ways, **{name: why for name, why in self.warnings.items() if why}}
