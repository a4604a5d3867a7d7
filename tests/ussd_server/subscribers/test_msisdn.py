"""Addresses become E.164 digits, or are refused with the reason."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.subscribers.msisdn import (
    NPI_ISDN,
    NPI_NATIONAL,
    NPI_UNKNOWN,
    TON_ALPHANUMERIC,
    TON_INTERNATIONAL,
    TON_NATIONAL,
    TON_UNKNOWN,
    NotSubscriber,
    parse,
)

TON_NETWORK_SPECIFIC, TON_SUBSCRIBER, TON_ABBREVIATED = 3, 4, 6
NPI_DATA, NPI_INTERNET = 3, 14


@pytest.mark.parametrize(
    ("raw", "ton"),
    [
        ("79101234567", TON_INTERNATIONAL),
        ("79101234567", TON_UNKNOWN),
        ("79101234567", TON_NATIONAL),
        ("79101234567", TON_NETWORK_SPECIFIC),
        ("79101234567", TON_SUBSCRIBER),
        ("+79101234567", TON_INTERNATIONAL),
        ("+79101234567", TON_UNKNOWN),
        ("89101234567", TON_NATIONAL),
        ("89101234567", TON_UNKNOWN),
        ("89101234567", TON_INTERNATIONAL),
        ("9101234567", TON_NATIONAL),
        ("9101234567", TON_UNKNOWN),
        ("+7 (910) 123-45-67", TON_UNKNOWN),
        (" 8-910-123.45.67 ", TON_UNKNOWN),
    ],
)
def test_every_way_to_write_a_number_of_the_home_country_gives_the_same(raw: str, ton: int) -> None:
    assert parse(raw, ton, NPI_ISDN) == "79101234567"


@pytest.mark.parametrize("npi", [NPI_UNKNOWN, NPI_ISDN, NPI_NATIONAL])
@pytest.mark.parametrize("raw", ["79101234567", "89101234567"])
def test_takes_the_numbering_plans_that_telephones_have(raw: str, npi: int) -> None:
    assert parse(raw, TON_UNKNOWN, npi) == "79101234567"


@pytest.mark.parametrize("npi", [NPI_DATA, NPI_INTERNET])
@pytest.mark.parametrize("raw", ["79101234567", "89101234567"])
def test_refuses_other_numbering_plans(raw: str, npi: int) -> None:
    assert parse(raw, TON_UNKNOWN, npi) == NotSubscriber("malformed")


@pytest.mark.parametrize(
    ("raw", "ton", "msisdn"),
    [
        ("380501234567", TON_INTERNATIONAL, "380501234567"),
        ("380501234567", TON_UNKNOWN, "380501234567"),
        ("+380501234567", TON_UNKNOWN, "380501234567"),
        ("4915112345678", TON_INTERNATIONAL, "4915112345678"),
        ("77011234567", TON_INTERNATIONAL, "77011234567"),
    ],
)
def test_takes_numbers_of_other_countries(raw: str, ton: int, msisdn: str) -> None:
    assert parse(raw, ton, NPI_ISDN) == msisdn


@pytest.mark.parametrize(
    ("raw", "country", "msisdn"),
    [
        ("4915112345678", "49", "4915112345678"),
        ("015112345678", "49", "4915112345678"),
        ("2025550123", "1", "12025550123"),
        ("12025550123", "1", "12025550123"),
    ],
)
def test_the_home_country_is_an_argument(raw: str, country: str, msisdn: str) -> None:
    assert parse(raw, TON_UNKNOWN, NPI_ISDN, country) == msisdn


@pytest.mark.parametrize(
    ("raw", "ton", "reason"),
    [
        ("", TON_UNKNOWN, "empty"),
        ("  ", TON_INTERNATIONAL, "empty"),
        ("MTS", TON_ALPHANUMERIC, "alphanumeric"),
        ("MTS", TON_UNKNOWN, "alphanumeric"),
        ("МТС Инфо", TON_ALPHANUMERIC, "alphanumeric"),
        ("79101234567 bank", TON_UNKNOWN, "alphanumeric"),
        ("2163", TON_UNKNOWN, "short"),
        ("111", TON_ABBREVIATED, "short"),
        ("0", TON_UNKNOWN, "short"),
        ("+", TON_UNKNOWN, "malformed"),
        ("*111#", TON_UNKNOWN, "malformed"),
        ("79101234567\0", TON_INTERNATIONAL, "malformed"),
        ("7910123456٣", TON_INTERNATIONAL, "malformed"),
        ("7910123456²", TON_INTERNATIONAL, "malformed"),
        ("1234567890123456", TON_INTERNATIONAL, "malformed"),
        ("79101234567" + " " * 100, TON_UNKNOWN, "malformed"),
        ("00000000000", TON_UNKNOWN, "impossible"),
        ("99999999999999", TON_INTERNATIONAL, "impossible"),
        ("380501234567", TON_NATIONAL, "impossible"),
        ("+89101234567", TON_UNKNOWN, "impossible"),
    ],
)
def test_refuses_what_is_no_subscriber(raw: str, ton: int, reason: str) -> None:
    assert parse(raw, ton, NPI_ISDN) == NotSubscriber(reason)  # type: ignore[arg-type]


def test_a_sender_name_made_of_digits_is_nobodys_number() -> None:
    assert parse("79101234567", TON_ALPHANUMERIC, NPI_UNKNOWN) == NotSubscriber("alphanumeric")


@given(
    st.text(max_size=20) | st.from_regex(r"[+]?[0-9]{0,17}", fullmatch=True), st.integers(0, 255), st.integers(0, 255)
)
def test_anything_gives_e164_digits_or_a_reason(raw: str, ton: int, npi: int) -> None:
    number = parse(raw, ton, npi)
    if isinstance(number, NotSubscriber):
        return
    assert number.isascii()
    assert number.isdigit()
    assert 7 <= len(number) <= 15
    assert parse(number, TON_INTERNATIONAL, NPI_ISDN) == number  # what came out stays


@given(st.integers(9_000_000_000, 9_999_999_999))
def test_the_short_way_agrees_with_the_library(national: int) -> None:
    number = phonenumbers.parse(f"{national}", "RU")
    if phonenumbers.is_valid_number(number):
        ways = {parse(f"7{national}"), parse(f"8{national}"), parse(f"{national}"), parse(f"+7{national}")}
        assert ways == {f"7{national}"}
