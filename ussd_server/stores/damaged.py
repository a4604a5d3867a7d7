"""Data of one entry, or a note, that a store cannot decode: it is told of with its octets, and all else goes on.

It stands in place of the data, the same from every kind of store, so that it can be given up, copied and thrown away
as any other. Nothing can stand in place of a record: who asks for it is refused, and who walks over all goes on. Pure.
"""

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from menus.session import Values

DAMAGED: Final = "damaged"
"""The one key of data that could not be decoded; its value is the octets, in base64. No performer has such a key."""


def tolerant(decode: Callable[[bytes], Values]) -> Callable[[bytes], Values]:
    """Return what decodes as this does, and returns {`DAMAGED`: octets in base64} for what it refuses."""

    def decoded(kept: bytes) -> Values:
        try:
            return decode(kept)
        except (ValueError, RecursionError):
            return damaged(kept)

    return decoded


def damaged(octets: bytes) -> Values:
    """Return what stands for octets that cannot be decoded."""
    return {DAMAGED: base64.b64encode(octets).decode()}


def unreadable(error: Exception) -> bool:
    """Return whether a store refused for a record that cannot be decoded: it is there, and has all others."""
    return isinstance(error.__cause__, msgspec.DecodeError)
