"""The access code's rules: ordering, checking, the lock. Pure functions over one part of the subscriber's record."""

import msgspec


class Access(msgspec.Struct, frozen=True, array_like=True):
    """The code and its lock: the part of the record that guards the terminal channel."""
