"""What the service and the operator have written down, read when the servers are gone."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from ussd_server.stores.base import Store
from ussd_server.subscribers import codes


class Account(msgspec.Struct, frozen=True):
    """What the store has of one number: its record's state and the kinds of its journal's entries.

    `known`: whether there is anything at all.
    """

    active: bool
    wrong: int
    locked_until: int
    generation: int
    pending: int
    journal: dict[str, int]
    known: bool = True


class Purchase(msgspec.Struct, frozen=True):
    """An order as the operator has it; `balance` is what was left then, `charges` the lines of its ledger for it."""

    id: str
    msisdn: str
    change: str
    offering: str
    price: int
    status: str
    balance: int
    charges: tuple[int, ...]


class Books(msgspec.Struct, frozen=True):
    """All of it. `balances` are pairs of what the operator says is left and the sum of its ledger, by number.

    `left` are outbox entries that should have been performed, `dead` those that were given up.
    """

    accounts: dict[str, Account]
    purchases: tuple[Purchase, ...]
    balances: dict[str, tuple[int, int]]
    left: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()


JOURNAL = 10_000
"""Entries of one number at most; nobody here has a hundredth of it."""


async def read(store: Store, operator: Path, numbers: Iterable[str], now: int, left: tuple[str, ...] = ()) -> Books:
    """Read the store through its port, and the operator's file."""
    accounts, dead = {}, []
    for msisdn in numbers:
        record, version = await store.load(msisdn, latest=True)
        journal = await store.journal(msisdn, limit=JOURNAL)
        kinds = Counter(entry.kind for entry in journal)
        dead += [f"{msisdn}: {entry.data}" for entry in journal if entry.kind == "given_up"]
        accounts[msisdn] = Account(
            record.active,
            record.access.wrong,
            codes.locked_until(record.access, now),
            record.access.generation,
            len(record.pending),
            dict(kinds),
            bool(version or journal),
        )
    return Books(accounts, *_operator(operator), left, tuple(dead))


def _operator(path: Path) -> tuple[tuple[Purchase, ...], dict[str, tuple[int, int]]]:
    with closing(sqlite3.connect(path)) as database:
        charges: dict[str, list[int]] = {}
        for purchase, amount in database.execute("SELECT purchase, amount FROM ledger WHERE purchase IS NOT NULL"):
            charges.setdefault(purchase, []).append(amount)
        rows = database.execute(
            "SELECT id, msisdn, change, offering, price, status, coalesce(balance, 0) FROM purchase ORDER BY seq"
        )
        purchases = tuple(Purchase(*row, tuple(charges.get(row[0], ()))) for row in rows)
        sums = dict(database.execute("SELECT msisdn, sum(amount) FROM ledger GROUP BY msisdn"))
        accounts = database.execute("SELECT msisdn, balance FROM account").fetchall()
    return purchases, {msisdn: (balance, sums.get(msisdn, 0)) for msisdn, balance in accounts}
