"""Data of one entry, or a note, that a store cannot decode: it is told of with its octets, and all else goes on.

It stands in place of the data, the same from every kind of store, so that it can be given up, copied and thrown away
as any other. Nothing can stand in place of a record: who asks for it is refused (`base.DamagedRecord`), and who walks
over all goes on. Pure.
"""

import base64
from collections.abc import Callable
from typing import Final

from menus.session import Values

DAMAGED: Final = "damaged"
"""The one key of data that could not be decoded; its value is the octets, in base64. No performer has such a key."""

UNDECODABLE: Final = (ValueError, RecursionError)
"""What a decoder raises for octets that are none of what it decodes: also for text that is no UTF-8."""


def tolerant(decode: Callable[[bytes], Values]) -> Callable[[bytes], Values]:
    """Return what decodes as this does, and returns {`DAMAGED`: octets in base64} for what it refuses."""

    def decoded(kept: bytes) -> Values:
        try:
            return decode(kept)
        except UNDECODABLE:
            return damaged(kept)

    return decoded


def shown(octets: bytes) -> str:
    """Return text that is for people only, with what is none in it as its octets."""
    return octets.decode(errors="backslashreplace")


def damaged(octets: bytes) -> Values:
    """Return what stands for octets that cannot be decoded."""
    return {DAMAGED: base64.b64encode(octets).decode()}
