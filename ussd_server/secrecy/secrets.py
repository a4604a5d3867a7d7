"""A value that cannot be printed: access codes, passwords and keys live in `Secret` from where they enter to where they
are used.

It protects against accidents, which are what leaks: a log line, an f-string, a traceback that shows variables, an
encoder that walks an object. Whoever means to read the value says `reveal()`, and a reviewer finds each place by that
word. Python keeps no value from code that sets out to get it, and this does not pretend to.
"""

import hmac
from collections.abc import Callable
from typing import Any, Final, Generic, Never, TypeVar

HIDDEN: Final = "Secret(***)"

T = TypeVar("T", str, bytes)


class Secret(Generic[T]):
    """Text or bytes that show as `Secret(***)` and that no encoder takes; equality takes constant time.

    Raises TypeError where it is pickled, given an attribute or used as a key of a dict, and where msgspec or json
    meets it.
    """

    # A function holds the value, not an attribute, so that whatever walks through objects finds nothing to show.
    __slots__ = ("_keeper",)

    _keeper: Callable[[], T]

    def __init__(self, value: T) -> None:
        object.__setattr__(self, "_keeper", lambda: value)

    def reveal(self) -> T:
        """Return the value; use it in the same expression, so that no variable holds it."""
        return self._keeper()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = self.reveal(), other.reveal()
        return type(mine) is type(theirs) and hmac.compare_digest(_octets(mine), _octets(theirs))

    # A hash would be an oracle for short codes, and equal secrets would meet in a dict by plain comparison.
    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: object) -> Never:
        raise TypeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> Never:
        raise TypeError("a Secret cannot be changed")

    def __copy__(self) -> "Secret[T]":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret[T]":
        return self

    def __getstate__(self) -> Never:
        raise TypeError("a Secret cannot be pickled")


def _octets(value: str | bytes) -> bytes:
    """Return what to compare; hmac.compare_digest takes no text beyond ASCII."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
