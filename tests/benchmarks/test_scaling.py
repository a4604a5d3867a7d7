"""docs/scaling.md says what the capacity model says, and nothing with a figure beside that."""

import re
from dataclasses import replace

import pytest

from benchmarks.capacity import ASSUMED, MEASURED, Deployment, Measured, demand, kept, most_subscribers, slower, uses
from benchmarks.scaling.cases import DEPLOYMENTS, NEW
from benchmarks.scaling.document import BLOCK, DOCS, filled, picture_path
from benchmarks.scaling.pictures import PICTURES
from benchmarks.scaling.sentences import TEXTS
from benchmarks.scaling.tables import TABLES

MENDED = "run python -m benchmarks.scaling --write"
DOCUMENT = (DOCS / "scaling.md").read_text(encoding="utf-8")
NO_FIGURES = re.compile(r"`[^`]*`|\]\([^)]*\)|\bp50\b|\bp99\b")
"""Code, where links lead, and names that have digits."""


def test_the_document_and_its_pictures_are_as_the_model_says() -> None:
    assert filled(DOCUMENT) == DOCUMENT, MENDED
    for name, picture in PICTURES.items():
        assert picture_path(name).read_text(encoding="utf-8") == picture(), MENDED
        assert f"images/{picture_path(name).name}" in DOCUMENT


def test_all_that_is_made_stands_in_the_document_once() -> None:
    marks = [(found[1], found[2]) for found in BLOCK.finditer(DOCUMENT)]
    assert sorted(marks) == sorted([("table", name) for name in TABLES] + [("text", name) for name in TEXTS])


def test_what_is_written_by_hand_has_no_figures() -> None:
    by_hand = NO_FIGURES.sub("", BLOCK.sub("", DOCUMENT))
    assert [line for line in by_hand.splitlines() if re.search(r"\d", line)] == []


@pytest.mark.parametrize("on", DEPLOYMENTS, ids=lambda on: on.name)
def test_neither_disks_nor_links_come_first_as_the_document_says(on: Deployment) -> None:
    for measured in (MEASURED, slower()):
        for assumed in (ASSUMED, NEW):
            most = most_subscribers(on, measured, assumed)
            first = uses(demand(most, assumed), on, measured, assumed)[0].resource
            assert not re.search("disk|network", first)


@pytest.mark.parametrize("measured", [MEASURED, slower()], ids=["quick", "slow"])
def test_the_core_is_first_on_sqlite_and_memory_on_redis_as_the_document_says(measured: Measured) -> None:
    for deployment in DEPLOYMENTS:
        on = replace(deployment, servers=2 * deployment.servers) if deployment.masters else deployment
        first = uses(demand(most_subscribers(on, measured)), on, measured)[0].resource
        assert first == ("memory of a Redis" if on.masters else "cores of the servers")
    assert kept(ASSUMED.years).sms == ASSUMED.journal_entries
