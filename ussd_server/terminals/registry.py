"""Who may be a terminal: adding, keys that overlap, revoking, quarantine. Pure rules, and how the store takes them.

| standing    | add a key              | adjust         | remove a key     | revoke  | quarantine  | lift    |
|-------------|------------------------|----------------|------------------|---------|-------------|---------|
| never added | active                 | refused        | refused          | refused | refused     | refused |
| active      | one more               | as wanted (*) | all but the last | revoked | quarantined | refused |
| quarantined | one more               | as wanted      | all but the last | revoked | refused     | active  |
| revoked     | active, this key alone | refused        | refused          | refused | refused     | refused |

(*) quarantined where the smaller budget is used up already.

A revoked terminal has no key, so nothing that its old ones sign is taken, also after it was added again. Every change
holds from the next request on, on every server of the store. Times are milliseconds since 1970 UTC.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import nacl.bindings
from msgspec.structs import replace

from ussd_server.stores.base import Store
from ussd_server.terminals import budgets
from ussd_server.terminals.record import Terminal, TerminalKey

ID: Final = re.compile(r"[a-z0-9-]{1,32}")
MAX_NAME: Final = 64
"""Characters: the name stands in an SMS."""
MAX_REASON: Final = 200
MAX_KEYS: Final = 4
"""One in use, one that replaces it, and two that somebody forgot."""
PUBLIC_SIZE: Final = 32
MAX_BUDGET: Final = 100_000
MAX_CONFLICTS: Final = 8


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed, and why: one line for whoever asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Malformed(Refused):
    """Nothing was changed, and no terminal could be: what was asked for is written wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a terminal is to be: None leaves what it is, or takes what is usual for a new one."""

    name: str | None = None
    wrong_an_hour: int | None = None
    orders_an_hour: int | None = None


Alter = Callable[[Terminal | None], Terminal | Refused]


def key_id(public: bytes) -> str:
    """Return the id that a key has within its terminal: made from the key, so that both sides find the same."""
    return hashlib.sha256(public).hexdigest()[:8]


def add(terminal: Terminal | None, id: str, public: bytes, now: int, wanted: Wanted = Wanted()) -> Terminal | Refused:
    """Return the terminal with one more key (Ed25519, 32 octets)."""
    if not ID.fullmatch(id):
        return _no_id(id)
    if fault := _fault(wanted):
        return Malformed(fault)
    if len(public) != PUBLIC_SIZE or not nacl.bindings.crypto_core_ed25519_is_valid_point(public):
        return Malformed("the key is no Ed25519 public key of 32 octets")
    key = TerminalKey(key_id(public), public, now)
    if terminal is None or terminal.standing == "revoked":
        fresh = Terminal(id, id if terminal is None else terminal.name, (key,), now, since=now)
        return _as_wanted(fresh, wanted)
    if any(each.id == key.id for each in terminal.keys):
        return Refused(f"{id} has the key {key.id} already")
    if len(terminal.keys) >= MAX_KEYS:
        return Refused(f"{id} has {MAX_KEYS} keys; remove one that it no longer uses")
    return _as_wanted(replace(terminal, keys=(*terminal.keys, key)), wanted)


def adjust(terminal: Terminal, wanted: Wanted, now: int) -> Terminal | Refused:
    """Return the terminal with another name or other budgets, its keys and what it has used of them as they are.

    An active one whose wrong entries of this hour use up a smaller budget is quarantined, as its last entry would have
    done. A revoked one has nothing to adjust: it gets its budgets when it is added anew.
    """
    if fault := _fault(wanted):
        return Malformed(fault)
    if terminal.standing == "revoked":
        return Refused(f"{terminal.id} is revoked; say what it is to have when it is added again")
    adjusted = _as_wanted(terminal, wanted)
    return adjusted if wanted.wrong_an_hour is None else budgets.held(adjusted, now)


def remove_key(terminal: Terminal, kid: str) -> Terminal | Refused:
    """Return the terminal without a key that it no longer uses; its last one goes with `revoke` alone."""
    rest = tuple(key for key in terminal.keys if key.id != kid)
    if len(rest) == len(terminal.keys):
        return Refused(f"{terminal.id} has no key {kid}")
    if not rest:
        return Refused(f"{kid} is the only key of {terminal.id}; add the new one first, or revoke the terminal")
    return replace(terminal, keys=rest)


def revoke(terminal: Terminal, reason: str, now: int) -> Terminal | Refused:
    """Return the terminal with no key any more. What it did stays known."""
    if terminal.standing == "revoked":
        return Refused(f"{terminal.id} is revoked already")
    if reason and not _sayable(reason, MAX_REASON):
        return Malformed(f"a reason has 1 to {MAX_REASON} printable characters")
    return replace(terminal, keys=(), standing="revoked", since=now, reason=reason)


def quarantine(terminal: Terminal, reason: str, now: int) -> Terminal | Refused:
    """Return the terminal refused until `lift`: it is under suspicion, its keys are not."""
    if terminal.standing != "active":
        return Refused(f"{terminal.id} is {terminal.standing} already")
    if not _sayable(reason, MAX_REASON):
        return Malformed(f"a reason has 1 to {MAX_REASON} printable characters")
    return replace(terminal, standing="quarantined", since=now, reason=reason)


def lift(terminal: Terminal, now: int) -> Terminal | Refused:
    """Return the terminal active again, its count of wrong entries cleared."""
    if terminal.standing != "quarantined":
        return Refused(f"{terminal.id} is not quarantined, it is {terminal.standing}")
    return replace(terminal, standing="active", since=now, reason="", wrong=())


def known(alter: Callable[[Terminal], Terminal | Refused], id: str) -> Alter:
    """Return a change that a terminal which was never added refuses."""
    stranger = Refused(f"there is no terminal {id}") if ID.fullmatch(id) else _no_id(id)
    return lambda terminal: stranger if terminal is None else alter(terminal)


async def change(store: Store, id: str, alter: Alter) -> Terminal | Refused:
    """Make a terminal what `alter` says, whatever else is changing it. Raises StoreUnavailable."""
    for _ in range(MAX_CONFLICTS):
        before, version = await store.load_terminal(id)
        after = alter(before)
        if isinstance(after, Refused) or after == before or await store.commit_terminal(after, version):
            return after
    return Refused(f"{id} is being changed all the time; try again")


def _no_id(id: str) -> Malformed:
    return Malformed(f"{id!r} is no terminal's id: 1 to 32 of a-z, 0-9 and -")


def _sayable(text: str, limit: int) -> bool:
    return 0 < len(text) <= limit and text.isprintable() and text.strip() != ""


def _fault(wanted: Wanted) -> str:
    """Return what a terminal cannot be, "" where it can be as wanted."""
    if wanted.name is not None and not _sayable(wanted.name, MAX_NAME):
        return f"a name has 1 to {MAX_NAME} printable characters"
    if any(
        not 1 <= budget <= MAX_BUDGET for budget in (wanted.wrong_an_hour, wanted.orders_an_hour) if budget is not None
    ):
        return f"a budget is a number from 1 to {MAX_BUDGET}"
    return ""


def _as_wanted(terminal: Terminal, wanted: Wanted) -> Terminal:
    return replace(
        terminal,
        name=terminal.name if wanted.name is None else wanted.name,
        wrong_an_hour=terminal.wrong_an_hour if wanted.wrong_an_hour is None else wanted.wrong_an_hour,
        orders_an_hour=terminal.orders_an_hour if wanted.orders_an_hour is None else wanted.orders_an_hour,
    )
