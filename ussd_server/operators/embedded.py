"""The embedded operator: a small billing system in a file of its own, for a start without any other.

It stands for a separate system, so it trusts nobody's word about prices: a quote carries a seal over its terms, and an
order is judged by what is true when it is executed. An order is one transaction: money, product and state change
together or not at all, and it is on the disk before it is answered. Every change of a balance is a line in a ledger.
"""

import asyncio
import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec

from ussd_server.database import SchemaError, connect, explain, migrate, roll_back
from ussd_server.operators.base import (
    Change,
    InsufficientFunds,
    Money,
    NotPossible,
    Offering,
    OfferingKind,
    OperatorUnavailable,
    OrderState,
    OrderStatus,
    Products,
    Quote,
)
from ussd_server.operators.catalogue import Catalogue, CatalogueError, read_catalogue

__all__ = ["Catalogue", "CatalogueError", "EmbeddedOperator", "read_catalogue"]

APPLICATION_ID = 0x55534F50
"""Marks the file as the embedded operator's ("USOP")."""

SEAL_BYTES = 12
"""Of a quote's seal: 96 bits, far more than anybody can try against a file on the same machine."""

KEPT_PRODUCTS = 1_000
"""What a number has, kept as offerings: most have one of a few."""

KEPT_ACCOUNTS = 100_000
"""Accounts kept in memory, 200 octets each, for what a number has is one of those above: a crowd that writes an SMS
now and then must find its own there."""

_MIGRATIONS = (
    (
        """CREATE TABLE account (
            msisdn TEXT PRIMARY KEY,
            balance INTEGER NOT NULL,
            activated_at INTEGER NOT NULL,
            tariff TEXT NOT NULL,
            next_tariff TEXT NOT NULL DEFAULT '',
            next_from TEXT NOT NULL DEFAULT ''
        ) STRICT""",
        """CREATE TABLE service (
            msisdn TEXT NOT NULL,
            id TEXT NOT NULL,
            since INTEGER NOT NULL,
            PRIMARY KEY (msisdn, id)
        ) STRICT""",
        """CREATE TABLE purchase (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            msisdn TEXT NOT NULL,
            change TEXT NOT NULL,
            offering TEXT NOT NULL,
            price INTEGER NOT NULL,
            starts TEXT NOT NULL,
            at INTEGER NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            balance INTEGER
        ) STRICT""",
        "CREATE INDEX purchase_waiting ON purchase (msisdn) WHERE status = 'submitted'",
        """CREATE TABLE ledger (
            seq INTEGER PRIMARY KEY,
            msisdn TEXT NOT NULL,
            at INTEGER NOT NULL,
            amount INTEGER NOT NULL,
            what TEXT NOT NULL,
            purchase TEXT UNIQUE
        ) STRICT""",
        "CREATE INDEX ledger_by_number ON ledger (msisdn, seq)",
        "CREATE TABLE seal (key BLOB NOT NULL) STRICT",
    ),
)

T = TypeVar("T")


class _Account(msgspec.Struct, frozen=True):
    """What a number has: `tariff` today, and perhaps `next_tariff` from the date `next_from` on."""

    msisdn: str
    balance: int
    activated_at: int
    tariff: str
    next_tariff: str
    next_from: str
    services: frozenset[str]

    @property
    def heading(self) -> str:
        """The tariff that will be in force once all that was ordered has begun."""
        return self.next_tariff or self.tariff


class _Has(msgspec.Struct, frozen=True, gc=False):
    """What a number has, as it is told."""

    products: Products
    balance: Money


class EmbeddedOperator:
    """An operator in one SQLite file, or in memory. Opening raises `OperatorUnavailable` with the cause.

    `clock` gives the time in ms. With `manual` set, orders stay `submitted` until `execute` is called, as those of
    a real billing system may. A number that is not in the catalogue has what its `new_number` says.
    """

    def __init__(self, database: str | Path, catalogue: Catalogue, clock: Callable[[], int], manual: bool = False):
        self.manual = manual
        self._path = str(database)
        self._catalogue = catalogue
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._reading = False
        self._data_version = 0
        self._kept: dict[str, _Has] = {}
        """What numbers have, as the file said when it had this version."""
        self._products = lru_cache(KEPT_PRODUCTS)(self._as_products)
        try:
            self._open()
        except (sqlite3.Error, OSError, SchemaError) as error:
            raise OperatorUnavailable(f"cannot open the embedded operator: {explain(self._path, error)}") from error

    def _open(self) -> None:
        # Orders wait for the disk in a thread of their own with a connection of its own; reading stays on the loop.
        self._reads = self._writes = connect(self._path)
        try:
            migrate(self._reads, APPLICATION_ID, _MIGRATIONS)
            self._reads.execute("INSERT INTO seal SELECT ? WHERE NOT EXISTS (SELECT 1 FROM seal)", (_new_key(),))
            ((self._key,),) = self._reads.execute("SELECT key FROM seal LIMIT 1").fetchall()
            if self._path != ":memory:":
                self._writes = connect(self._path)
                self._writes.execute("PRAGMA synchronous = FULL")
                self._writes.execute("PRAGMA wal_autocheckpoint = 1000")
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="operator")
        except BaseException:
            self._reads.close()
            raise

    # What is sold, and what a number has ------------------------------------------------------------------------

    async def offerings(self, msisdn: str, kind: OfferingKind) -> Sequence[Offering]:
        """Return what is on sale, from memory: the same tuple each time."""
        return self._catalogue.tariffs_on_sale if kind == "tariff" else self._catalogue.services_on_sale

    async def products(self, msisdn: str) -> Products:
        """Return the tariff in force today, the one that follows it, and the services in the catalogue's order.

        Who has the same gets the very same object.
        """
        return self._has(msisdn).products

    async def balance(self, msisdn: str) -> Money:
        """Return the balance."""
        return self._has(msisdn).balance

    async def quote(self, msisdn: str, change: Change, offering: str) -> Quote | InsufficientFunds | NotPossible:
        """Price a change; the quote holds for the catalogue's `quote_minutes`."""
        account = self._read(msisdn)
        if self._query("SELECT 1 FROM purchase WHERE msisdn = ? AND status = 'submitted'", msisdn):
            return NotPossible("order_in_progress")
        refusal = self._refusal(account, change, offering)
        if refusal is not None:
            return refusal
        now, wanted = self._clock(), self._catalogue.by_id[offering]
        price = self._price(account, change, wanted, now)
        if price > max(account.balance, 0):
            return InsufficientFunds(self._money(price), self._money(account.balance))
        starts = (self._today(now) + timedelta(days=change == "change_tariff")).isoformat()
        expires = now + self._catalogue.quote_ms
        seal = self._seal(msisdn, change, offering, price, starts, expires)
        monthly = wanted.monthly if change != "remove_service" else self._money(0)
        balance_after = self._money(account.balance - price)
        return Quote(f"{expires:x}.{seal}", change, wanted, self._money(price), monthly, starts, balance_after)

    def _refusal(self, account: _Account, change: Change, offering: str) -> NotPossible | None:
        """Say why the change makes no sense now; None where it does."""
        wanted = self._catalogue.by_id.get(offering)
        if wanted is None or (wanted.kind == "tariff") != (change == "change_tariff"):
            return NotPossible("not_offered")
        if change == "remove_service":
            return None if offering in account.services else NotPossible("not_owned")
        if offering == account.heading or offering in account.services:
            return NotPossible("already")
        on_sale = self._catalogue.tariffs_on_sale if wanted.kind == "tariff" else self._catalogue.services_on_sale
        return None if wanted in on_sale else NotPossible("not_offered")

    def _price(self, account: _Account, change: Change, wanted: Offering, now: int) -> int:
        """Return what the change costs once (minor units): removing is free, and a young SIM's tariff change is."""
        young = now < account.activated_at + self._catalogue.free_change_ms
        return 0 if change == "remove_service" or (change == "change_tariff" and young) else wanted.price.minor

    def _seal(self, msisdn: str, change: str, offering: str, price: int, starts: str, expires: int) -> str:
        terms = f"{msisdn} {change} {offering} {price} {self._catalogue.currency} {starts} {expires}"
        return hmac.new(self._key, terms.encode(), hashlib.sha256).digest()[:SEAL_BYTES].hex()

    # Orders -------------------------------------------------------------------------------------------------------

    async def submit_order(self, order_id: str, msisdn: str, quote: Quote) -> OrderState:
        """Place the quoted change and execute it, once for each order id, whatever comes with that id later.

        Rejected with a reason, with nothing taken and nothing changed: `quote_unknown` (not ours, or altered),
        `quote_expired`, `insufficient_funds`, or one of `NotPossible`'s.
        """
        return await self._write(lambda: self._submit(order_id, msisdn, quote))

    async def order_state(self, order_id: str) -> OrderState | None:
        """Return where an order stands, None where the id is unknown."""
        rows = self._query("SELECT id, status, reason, balance FROM purchase WHERE id = ?", order_id)
        return self._state(rows[0]) if rows else None

    async def cancel(self, order_id: str) -> OrderState | None:
        """Cancel an order that still waits; any other stays as it is."""
        return await self._write(lambda: self._cancel(order_id))

    async def execute(self) -> list[OrderState]:
        """Execute the orders that wait, the oldest first, and return where they now stand."""
        return await self._write(self._execute_waiting)

    async def top_up(self, msisdn: str, minor: int) -> Money:
        """Pay into an account and return the balance."""
        return await self._write(lambda: self._money(self._book(msisdn, minor, "payment")))

    def _submit(self, order_id: str, msisdn: str, quote: Quote) -> OrderState:
        known = self._purchase(order_id)
        if known is not None:
            return known
        self._open_account(msisdn)
        self._writes.execute(
            "INSERT INTO purchase (id, msisdn, change, offering, price, starts, at, status, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'submitted', '')",
            (order_id, msisdn, quote.change, quote.offering.id, quote.price.minor, quote.starts, self._clock()),
        )
        refusal = self._quote_refusal(msisdn, quote)
        if refusal:
            return self._conclude(order_id, msisdn, "rejected", refusal)
        if self.manual:
            return OrderState(order_id, "submitted")
        return self._execute(order_id)

    def _quote_refusal(self, msisdn: str, quote: Quote) -> str:
        """Say why a quote is not honoured, "" where it is."""
        head, _, seal = quote.id.partition(".")
        try:
            expires = int(head, 16)
        except ValueError:
            return "quote_unknown"
        ours = self._seal(msisdn, quote.change, quote.offering.id, quote.price.minor, quote.starts, expires)
        if not hmac.compare_digest(ours.encode(), seal.encode()):
            return "quote_unknown"
        return "quote_expired" if self._clock() >= expires else ""

    def _execute(self, order_id: str) -> OrderState:
        ((msisdn, change, offering, price, starts),) = self._writes.execute(
            "SELECT msisdn, change, offering, price, starts FROM purchase WHERE id = ?", (order_id,)
        ).fetchall()
        account = self._account(self._writes, msisdn)
        refusal = self._refusal(account, change, offering)
        if refusal is not None:
            return self._conclude(order_id, msisdn, "rejected", refusal.reason)
        if price > max(account.balance, 0):
            return self._conclude(order_id, msisdn, "rejected", "insufficient_funds")
        if price:
            self._book(msisdn, -price, f"{change} {offering}", order_id)
        self._change(account, change, offering, starts)
        return self._conclude(order_id, msisdn, "completed", "")

    def _change(self, account: _Account, change: Change, offering: str, starts: str) -> None:
        if change == "change_tariff":
            self._writes.execute(
                "UPDATE account SET tariff = ?, next_tariff = ?, next_from = ? WHERE msisdn = ?",
                (account.tariff, offering, starts, account.msisdn),
            )
        elif change == "add_service":
            self._writes.execute("INSERT INTO service VALUES (?, ?, ?)", (account.msisdn, offering, self._clock()))
        else:
            self._writes.execute("DELETE FROM service WHERE msisdn = ? AND id = ?", (account.msisdn, offering))

    def _conclude(self, order_id: str, msisdn: str, status: OrderStatus, reason: str) -> OrderState:
        balance = self._account(self._writes, msisdn).balance
        self._writes.execute(
            "UPDATE purchase SET status = ?, reason = ?, balance = ? WHERE id = ?", (status, reason, balance, order_id)
        )
        return OrderState(order_id, status, self._money(balance), reason)

    def _cancel(self, order_id: str) -> OrderState | None:
        waiting = "SELECT msisdn FROM purchase WHERE id = ? AND status = 'submitted'"
        for (msisdn,) in self._writes.execute(waiting, (order_id,)).fetchall():
            self._conclude(order_id, msisdn, "cancelled", "")
        return self._purchase(order_id)

    def _execute_waiting(self) -> list[OrderState]:
        waiting = self._writes.execute("SELECT id FROM purchase WHERE status = 'submitted' ORDER BY seq").fetchall()
        return [self._execute(order_id) for (order_id,) in waiting]

    def _purchase(self, order_id: str) -> OrderState | None:
        query = "SELECT id, status, reason, balance FROM purchase WHERE id = ?"
        rows = self._writes.execute(query, (order_id,)).fetchall()
        return self._state(rows[0]) if rows else None

    # Accounts -----------------------------------------------------------------------------------------------------

    def _book(self, msisdn: str, amount: int, what: str, order_id: str | None = None) -> int:
        """Change a balance, with its line in the ledger, and return it."""
        self._open_account(msisdn)
        self._writes.execute(
            "INSERT INTO ledger (msisdn, at, amount, what, purchase) VALUES (?, ?, ?, ?, ?)",
            (msisdn, self._clock(), amount, what, order_id),
        )
        self._writes.execute("UPDATE account SET balance = balance + ? WHERE msisdn = ?", (amount, msisdn))
        return self._account(self._writes, msisdn).balance

    def _open_account(self, msisdn: str) -> None:
        """Write down what a number has when it is first written to."""
        account, now = self._unseen(msisdn), self._clock()
        opened = self._writes.execute(
            "INSERT OR IGNORE INTO account (msisdn, balance, activated_at, tariff) VALUES (?, ?, ?, ?)",
            (msisdn, account.balance, account.activated_at, account.tariff),
        ).rowcount
        if opened:
            services = [(msisdn, service, now) for service in sorted(account.services)]
            self._writes.executemany("INSERT INTO service VALUES (?, ?, ?)", services)
            self._writes.execute(
                "INSERT INTO ledger (msisdn, at, amount, what) VALUES (?, ?, ?, 'opening')",
                (msisdn, now, account.balance),
            )

    def _account(self, connection: sqlite3.Connection, msisdn: str) -> _Account:
        rows = connection.execute(
            "SELECT balance, activated_at, tariff, next_tariff, next_from FROM account WHERE msisdn = ?", (msisdn,)
        ).fetchall()
        if not rows:
            return self._unseen(msisdn)
        balance, activated_at, tariff, next_tariff, next_from = rows[0]
        if next_tariff and next_from <= self._today(self._clock()).isoformat():
            tariff, next_tariff, next_from = next_tariff, "", ""
        owned = connection.execute("SELECT id FROM service WHERE msisdn = ?", (msisdn,)).fetchall()
        services = frozenset(service for (service,) in owned)
        return _Account(msisdn, balance, activated_at, tariff, next_tariff, next_from, services)

    def _unseen(self, msisdn: str) -> _Account:
        opening = self._catalogue.numbers.get(msisdn, self._catalogue.new_number)
        activated_at = self._clock() - opening.sim_ms
        return _Account(msisdn, opening.balance, activated_at, opening.tariff, "", "", opening.services)

    def _has(self, msisdn: str) -> _Has:
        """Return what a number has, from memory unless something was written since it was read."""
        if not self._reading:
            self._begin_reading()
        has = self._kept.get(msisdn)
        if has is None:
            account = self._read(msisdn)
            products = self._products(account.tariff, account.services, account.next_tariff)
            has = _Has(products, self._money(account.balance))
            if not account.next_tariff:  # which begins some day, though nothing is written then
                if len(self._kept) >= KEPT_ACCOUNTS:
                    self._kept.clear()
                self._kept[msisdn] = has
        return has

    def _as_products(self, tariff: str, services: frozenset[str], next_tariff: str) -> Products:
        """Return these as the catalogue has them."""
        following = self._offering(next_tariff) if next_tariff else None
        owned = tuple(each for each in self._catalogue.services if each.id in services)
        return Products(self._offering(tariff), owned, following)

    def _offering(self, id: str) -> Offering:
        """Return what this id sells; what the catalogue has dropped since is shown by its id."""
        nothing = self._money(0)
        return self._catalogue.by_id.get(id) or Offering(id, "tariff", "", {"en": id}, {"en": ""}, nothing, nothing)

    def _money(self, minor: int) -> Money:
        return Money(minor, self._catalogue.currency)

    def _state(self, row: tuple[str, OrderStatus, str, int | None]) -> OrderState:
        id, status, reason, balance = row
        return OrderState(id, status, None if balance is None else self._money(balance), reason)

    def _today(self, now: int) -> date:
        return datetime.fromtimestamp(now / 1000, self._catalogue.zone).date()

    # The file -----------------------------------------------------------------------------------------------------

    def _reader(self) -> sqlite3.Connection:
        """Return what reads the file as it is in this turn of the loop."""
        if not self._reading:
            self._begin_reading()
        return self._reads

    def _begin_reading(self) -> None:
        """Read the file as it is now until this turn of the loop ends: whatever is asked meanwhile is read together.

        To take and to give back the file's locks is half of what reading an account costs. What is in memory is
        forgotten if anybody has written, this process or another.
        """
        asyncio.get_running_loop().call_soon(self._read_anew)
        try:
            self._reads.execute("BEGIN")
            ((version,),) = self._reads.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        if version != self._data_version:
            self._data_version = version
            self._kept.clear()
        self._reading = True

    def _read_anew(self) -> None:
        """End what was read together: what is asked from here on sees what was written meanwhile."""
        self._reading = False
        roll_back(self._reads)

    def _read(self, msisdn: str) -> _Account:
        reader = self._reader()
        try:
            return self._account(reader, msisdn)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _query(self, query: str, parameter: str) -> list[tuple[str, OrderStatus, str, int | None]]:
        reader = self._reader()
        try:
            return reader.execute(query, (parameter,)).fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    async def _write(self, work: Callable[[], T]) -> T:
        """Do this in one transaction that is on the disk when it is over."""
        self._read_anew()
        if self._thread is None:
            self._kept.clear()  # a connection does not notice what it writes itself
            return self._transact(work)
        # Shielded: who stops waiting does not stop an order that has begun.
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work))
        finally:
            self._read_anew()

    def _transact(self, work: Callable[[], T]) -> T:
        try:
            self._writes.execute("BEGIN IMMEDIATE")
            result = work()
            self._writes.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        finally:
            roll_back(self._writes)
        return result

    def _unavailable(self, error: sqlite3.Error) -> OperatorUnavailable:
        return OperatorUnavailable(f"the embedded operator failed: {explain(self._path, error)}")

    async def close(self) -> None:
        """Finish the order under way and let go of the file."""
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writes.close)
            self._thread.shutdown()
        self._read_anew()
        self._reads.close()


def _new_key() -> bytes:
    return secrets.token_bytes(32)
