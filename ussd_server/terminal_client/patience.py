"""How long a client tries, and how long it waits between two tries. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds: `total` for a call with all its tries, `attempt` for one of them.

    Before the next try a client waits a random part of a span that begins with `first` and doubles up to `most` ("full
    jitter": terminals that lost the server at one moment do not come back at one moment). What the server names in
    Retry-After is waited out first.
    """

    total: float = 20.0
    attempt: float = 8.0
    first: float = 0.25
    most: float = 4.0

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.most and 0 < self.attempt <= self.total):
            raise ValueError("first must not exceed most, nor attempt total, and all must be positive")

    def wait(self, tries: int, jitter: float, retry_after: float = 0.0) -> float:
        """Return how long to wait after this many tries (from 1); `jitter` is random in 0..1."""
        # The exponent is bounded so that no number of tries overflows.
        span = min(self.most, self.first * 2.0 ** min(tries - 1, 32))
        return retry_after + jitter * span
