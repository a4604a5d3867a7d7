"""The operators that the contract is for, by name. A new one is one more line in `OPERATORS`.

Each is opened on a catalogue of its own and a clock that the test turns. What a number has at first:
`RICH` 1000.00, `POOR` 5.00, `YOUNG` 100.00 with a SIM of five days; each on tariff `basic` with service `tone`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ussd_server.operators.base import Operator
from ussd_server.operators.catalogue import Catalogue, read_catalogue
from ussd_server.operators.embedded import EmbeddedOperator
from ussd_server.operators.faulty import FaultyOperator

RICH, POOR, YOUNG = "79100000001", "79100000002", "79100000003"
T0 = 1_790_000_000_000  # 2026-09-21 17:13:20 in Moscow

CATALOGUE = """
currency: RUB
time_zone: Europe/Moscow
quote_minutes: 10
free_change_days: 30
new_number: &new {tariff: basic, services: [tone], balance: "1000.00", sim_days: 400}
numbers:
  "79100000002": {tariff: basic, services: [tone], balance: "5.00", sim_days: 400}
  "79100000003": {tariff: basic, services: [tone], balance: "100.00", sim_days: 5}
tariffs:
  - {id: basic, number: "11", name: {ru: Б, en: Basic}, summary: {ru: б, en: b}, price: "50"}
  - {id: more, number: "12", name: {ru: Т, en: More}, summary: {ru: т, en: m}, price: "90.50", monthly: "300"}
  - {id: most, number: "13", name: {ru: М, en: Most}, summary: {ru: м, en: m}, price: "200"}
  - {id: old, number: "14", name: {ru: С, en: Old}, summary: {ru: с, en: o}, price: "1", on_sale: false}
services:
  - {id: tone, number: "51", name: {ru: М, en: Tone}, summary: {ru: м, en: t}, price: "0", monthly: "50"}
  - {id: mail, number: "52", name: {ru: П, en: Mail}, summary: {ru: п, en: m}, price: "30", monthly: "45"}
  - {id: gift, number: "53", name: {ru: Д, en: Gift}, summary: {ru: д, en: g}, price: "0"}
"""


class Open(Protocol):
    def __call__(self, place: Path, clock: Callable[[], int]) -> Operator: ...


def catalogue(place: Path) -> Catalogue:
    file = place / "catalogue.yaml"
    file.write_text(CATALOGUE)
    return read_catalogue(file)


OPERATORS: dict[str, Open] = {
    "embedded": lambda place, clock: EmbeddedOperator(place / "operator.db", catalogue(place), clock),
    "in memory": lambda place, clock: EmbeddedOperator(":memory:", catalogue(place), clock),
    "faulty, without faults": lambda place, clock: FaultyOperator(
        EmbeddedOperator(place / "operator.db", catalogue(place), clock)
    ),
}
