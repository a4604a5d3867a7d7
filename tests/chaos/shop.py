"""What is sold, and to whom: a catalogue in which a balance tells whose it is.

Every price is in whole roubles, so the kopecks of a balance, and its hundreds, are those that the number was given.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

FIRST: Final = 79_120_000_000
PEOPLE: Final = 5_000
"""Numbers whose opening balance is their own: more than a quick machine lets live in the longest run."""
BAND: Final = 600
"""Roubles that one number may spend before its balance could be taken for another's."""

SHIPPED: Final = Path(__file__).parents[2] / "ussd_server" / "operators" / "catalogue.yaml"

TARIFFS: Final = {
    "super-nol": (1, "211"),
    "red-energy": (2, "212"),
    "maxi": (5, "215"),
    "gostevoy": (8, "218"),
    "onlayner": (9, "219"),
    "svobodny": (11, "221"),
}
"""Some tariffs whose price is one screen: the place in the list, which is the option to press; the number for SMS."""
SERVICES: Final = {"beep": "553", "missed-calls": "554", "voice-mail": "555", "sms-100": "556", "bit": "557"}


def msisdn(which: int) -> str:
    """Return a person's number; there are `PEOPLE`, and whoever came after them would have anybody's balance."""
    assert which < PEOPLE, "too many people for the catalogue"
    return str(FIRST + which)


def opening(number: str) -> int:
    """Return what a number had at first, in kopecks."""
    which = int(number) - FIRST
    return (2_000 + BAND * (which // 100)) * 100 + which % 100


def is_of(number: str, minor: int) -> bool:
    """Tell whether a balance can be this number's."""
    first = opening(number)
    return first - BAND * 100 < minor <= first and minor % 100 == first % 100


def price(offering: str) -> int:
    """Return what an offering costs once, in kopecks: 1 to 9 roubles."""
    return (1 + sum(offering.encode()) % 9) * 100


@cache
def _shipped() -> dict[str, Any]:
    return YAML(typ="safe").load(SHIPPED.read_text(encoding="utf-8"))


@cache
def names() -> dict[str, str]:
    """Return the Russian name of every offering by its id."""
    shipped = _shipped()
    return {each["id"]: each["name"]["ru"] for each in (*shipped["tariffs"], *shipped["services"])}


def write(path: Path) -> None:
    """Write the catalogue file (JSON is YAML, too)."""
    content = {**_shipped()}
    for kind in ("tariffs", "services"):
        content[kind] = [{**each, "price": f"{price(each['id']) / 100:.2f}"} for each in content[kind]]
    content["numbers"] = {
        msisdn(which): {
            "tariff": "klassny",
            "services": ["caller-id"],
            "balance": f"{opening(msisdn(which)) / 100:.2f}",
            "sim_days": 400,
        }
        for which in range(PEOPLE)
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
