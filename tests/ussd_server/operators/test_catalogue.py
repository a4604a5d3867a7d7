"""A catalogue is read whole or refused with every mistake and its line; the shipped one is fit for phones."""

from pathlib import Path

import pytest

from tests.contracts.operators import CATALOGUE
from ussd_server.operators.catalogue import CatalogueError, read_catalogue


def test_the_shipped_catalogue_is_complete_and_its_texts_fit_a_phone() -> None:
    shipped = read_catalogue()
    offerings = (*shipped.tariffs_on_sale, *shipped.services_on_sale)
    assert len(shipped.tariffs_on_sale) >= 14
    assert len(shipped.services_on_sale) >= 10
    for each in offerings:
        assert set(each.name) == set(each.summary) == {"ru", "en"}
        assert all(0 < len(name) <= 20 for name in each.name.values())
        assert len(each.summary["ru"]) <= 80  # UCS-2 units of a USSD page
        assert len(each.summary["en"]) <= 160
    assert len({opening.balance for opening in shipped.numbers.values()}) == len(shipped.numbers)


def test_what_is_no_longer_on_sale_is_known_but_not_offered(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CATALOGUE)
    known = read_catalogue(file)
    assert "old" in known.by_id
    assert "old" not in [each.id for each in known.tariffs_on_sale]


def mistakes(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    text = CATALOGUE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("currency: RUB", "currency: XYZ", ["2: currency: XYZ is no ISO 4217 currency"]),
        ("Europe/Moscow", "Moscow", ["3: time_zone: Moscow is no time zone; write it as Europe/Moscow"]),
        (
            "quote_minutes: 10",
            "quote_minuts: 10",
            ["1: quote_minutes: Field required", "4: quote_minuts: Extra inputs are not permitted"],
        ),
        (
            '{tariff: basic, services: [tone], balance: "5',
            '{tariff: no, services: [x], balance: "5',
            [
                "8: numbers.79100000002.services: there is no service x",
                "8: numbers.79100000002.tariff: there is no tariff no",
            ],
        ),
        (
            '"79100000003"',
            '"+79100000003"',
            ["9: numbers.+79100000003: a number is digits with the country code, without +"],
        ),
        ('"90.50"', '"90.505"', ["12: tariffs.1.price: 90.505 has more than 2 decimal places"]),
        ("id: more", "id: basic", ["12: tariffs.1.id: basic is used twice"]),
        ('"200"', '"-1"', ["13: tariffs.2.price: Input should be greater than or equal to 0"]),
        ('"52"', '"11"', ["17: services.1.number: 11 is used twice"]),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    assert mistakes(tmp_path, (old, new)) == told


def test_a_key_that_is_written_twice_is_told_with_its_line(tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, ("currency: RUB", "currency: RUB\ncurrency: RUB"))
    assert told.startswith("3: found duplicate key")


@pytest.mark.parametrize("text", ["", "- 1", "x", "tariffs: {", "currency: [1, {a: 2}]", "\x00"])
def test_what_is_no_catalogue_at_all_is_refused_with_a_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError, match=r"c\.yaml:\d+: "):
        read_catalogue(file)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, ("Europe/Moscow", "Moscow"), ("id: more", "id: basic"), ('"90.50"', '"0.001"'))) == 3


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="No such file"):
        read_catalogue(tmp_path / "none.yaml")
