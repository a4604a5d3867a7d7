"""A terminal's record: its keys, its standing, and what it has used of its budgets. Pure values.

The stored form is MessagePack with fields by position; new fields are appended with a default, none is moved.
"""

from typing import Literal, TypeAlias

import msgspec

Standing: TypeAlias = Literal["active", "quarantined", "revoked"]


class TerminalKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An Ed25519 public key (32 octets) that signs this terminal's requests; `added_at` in ms.

    Its `id` within the terminal is made from the key; a request's `keyid` is `TERMINAL/ID`.
    """

    id: str
    public: bytes
    added_at: int


class Terminal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One terminal, or one gateway of a terminal network, as it is registered.

    `name` is how people know it (it stands in the SMS that tells of a lock). Several keys overlap while one is
    replaced. `since` and `reason` belong to the standing. `wrong` are the times of wrong entries in the last hour,
    `orders` of code orders, oldest first; `wrong_an_hour` and `orders_an_hour` are its budgets.
    """

    id: str
    name: str
    keys: tuple[TerminalKey, ...] = ()
    added_at: int = 0
    standing: Standing = "active"
    since: int = 0
    reason: str = ""
    wrong_an_hour: int = 20
    orders_an_hour: int = 60
    wrong: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Terminal).decode
