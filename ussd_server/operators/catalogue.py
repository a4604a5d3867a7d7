"""The embedded operator's catalogue: what it sells, and what a number has that it never saw, read from a YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.numbers import get_currency_precision, list_currencies
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ussd_server.mistakes import cause
from ussd_server.operators.base import Money, Offering, OfferingKind

SHIPPED = Path(__file__).with_name("catalogue.yaml")
"""The catalogue that comes with the program."""

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


class CatalogueError(Exception):
    """The catalogue cannot be used; each line of the text is one mistake as `file:line: what`."""


@dataclass(frozen=True)
class Opening:
    """What a number has when it is first seen. `balance` is in minor units, `sim_ms` the age of its SIM."""

    tariff: str
    services: frozenset[str]
    balance: int
    sim_ms: int


@dataclass(frozen=True)
class Catalogue:
    """All that is sold, in the order to show it; what is no longer on sale can still be somebody's."""

    currency: str
    zone: ZoneInfo
    quote_ms: int
    free_change_ms: int
    tariffs: tuple[Offering, ...]
    services: tuple[Offering, ...]
    tariffs_on_sale: tuple[Offering, ...]
    services_on_sale: tuple[Offering, ...]
    by_id: Mapping[str, Offering]
    new_number: Opening
    numbers: Mapping[str, Opening]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Item(_Part):
    id: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    number: str = Field(pattern=r"^[0-9]{1,6}$")
    name: dict[str, str] = Field(min_length=1)
    summary: dict[str, str] = Field(min_length=1)
    price: Decimal = Field(ge=0, strict=False)
    monthly: Decimal = Field(default=Decimal(0), ge=0, strict=False)
    on_sale: bool = True


class _Opening(_Part):
    tariff: str
    services: list[str] = []
    balance: Decimal = Field(strict=False)
    sim_days: int = Field(ge=0)


class _File(_Part):
    currency: str
    time_zone: str
    quote_minutes: int = Field(gt=0)
    free_change_days: int = Field(ge=0)
    new_number: _Opening
    numbers: dict[str, _Opening] = {}
    tariffs: list[_Item] = Field(min_length=1)
    services: list[_Item]


def read_catalogue(path: Path = SHIPPED) -> Catalogue:
    """Read a catalogue; raise `CatalogueError` with every mistake at once."""
    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogueError(f"{path}:{line}: {error.problem}") from None
    except YAMLError as error:
        raise CatalogueError(f"{path}:1: {' '.join(str(error).split())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: the file cannot be read: {cause(error)}") from None
    try:
        parsed = _File.model_validate(_plain(tree))
    except ValidationError as error:
        mistakes = [(mistake["loc"], mistake["msg"]) for mistake in error.errors()]
        raise _mistaken(path, tree, mistakes) from None
    checks = _check(parsed)
    if checks:
        raise _mistaken(path, tree, checks)
    return _build(parsed)


_Location = tuple[int | str, ...]


def _plain(node: Any) -> Any:
    """Return the same without the reader's line numbers, which strict validation does not take for dict and str."""
    if isinstance(node, dict):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (str, bool, int, float):
        if isinstance(node, kind):
            return kind(node)
    return node


def _mistaken(path: Path, tree: Any, mistakes: list[tuple[_Location, str]]) -> CatalogueError:
    lines = [(_line(tree, where), ".".join(map(str, where)), what) for where, what in mistakes]
    return CatalogueError("\n".join(f"{path}:{line}: {where}: {what}" for line, where, what in sorted(lines)))


def _line(tree: Any, where: _Location) -> int:
    """Return the line (from 1) of the innermost part of `where` that is in the file."""
    line = 1
    for step in where:
        if isinstance(tree, CommentedMap) and step in tree:
            line = tree.lc.key(step)[0] + 1
        elif isinstance(tree, CommentedSeq) and isinstance(step, int) and step < len(tree):
            line = tree.lc.item(step)[0] + 1
        else:
            break
        tree = tree[step]
    return line


def _check(file: _File) -> list[tuple[_Location, str]]:
    """Return what the shape alone does not tell: names that lead nowhere, doubles, amounts that are no money."""
    mistakes: list[tuple[_Location, str]] = []
    if file.currency not in list_currencies():
        return [(("currency",), f"{file.currency} is no ISO 4217 currency")]
    try:
        ZoneInfo(file.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        mistakes.append((("time_zone",), f"{file.time_zone} is no time zone; write it as Europe/Moscow"))
    digits = get_currency_precision(file.currency)
    seen: set[str] = set()
    for kind, items in (("tariffs", file.tariffs), ("services", file.services)):
        for index, item in enumerate(items):
            mistakes += [
                ((kind, index, field), f"{value} is used twice")
                for field, value in (("id", item.id), ("number", item.number))
                if f"{field} {value}" in seen
            ]
            seen |= {f"id {item.id}", f"number {item.number}"}
            mistakes += [
                ((kind, index, field), f"{amount} has more than {digits} decimal places")
                for field, amount in (("price", item.price), ("monthly", item.monthly))
                if not _fits(amount, digits)
            ]
    openings: dict[_Location, _Opening] = {("new_number",): file.new_number}
    openings |= {("numbers", msisdn): opening for msisdn, opening in file.numbers.items()}
    tariffs, services = {item.id for item in file.tariffs}, {item.id for item in file.services}
    for where, opening in openings.items():
        if not all(str(step).isdecimal() for step in where[1:]):
            mistakes.append((where, "a number is digits with the country code, without +"))
        if opening.tariff not in tariffs:
            mistakes.append(((*where, "tariff"), f"there is no tariff {opening.tariff}"))
        unknown = [service for service in opening.services if service not in services]
        mistakes += [((*where, "services"), f"there is no service {service}") for service in unknown]
        if not _fits(opening.balance, digits):
            mistakes.append(((*where, "balance"), f"{opening.balance} has more than {digits} decimal places"))
    return mistakes


def _fits(amount: Decimal, digits: int) -> bool:
    return amount.is_finite() and amount == amount.quantize(Decimal(1).scaleb(-digits))


def _build(file: _File) -> Catalogue:
    digits = get_currency_precision(file.currency)

    def minor(amount: Decimal) -> int:
        return int(amount.scaleb(digits))

    def offering(kind: OfferingKind, item: _Item) -> Offering:
        price, monthly = Money(minor(item.price), file.currency), Money(minor(item.monthly), file.currency)
        return Offering(item.id, kind, item.number, item.name, item.summary, price, monthly)

    def opening(part: _Opening) -> Opening:
        return Opening(part.tariff, frozenset(part.services), minor(part.balance), part.sim_days * DAY_MS)

    tariffs = tuple(offering("tariff", item) for item in file.tariffs)
    services = tuple(offering("service", item) for item in file.services)
    on_sale = frozenset(item.id for item in (*file.tariffs, *file.services) if item.on_sale)
    return Catalogue(
        currency=file.currency,
        zone=ZoneInfo(file.time_zone),
        quote_ms=file.quote_minutes * MINUTE_MS,
        free_change_ms=file.free_change_days * DAY_MS,
        tariffs=tariffs,
        services=services,
        tariffs_on_sale=tuple(item for item in tariffs if item.id in on_sale),
        services_on_sale=tuple(item for item in services if item.id in on_sale),
        by_id={item.id: item for item in (*tariffs, *services)},
        new_number=opening(file.new_number),
        numbers={msisdn: opening(part) for msisdn, part in file.numbers.items()},
    )
