"""Subscriber numbers as they come from SMSCs, terminals and people, brought to one form: E.164 digits without `+`.

A number is who somebody is here, so what is not surely a subscriber's number is refused, with the reason.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import phonenumbers

TON_UNKNOWN: Final = 0
TON_INTERNATIONAL: Final = 1
TON_NATIONAL: Final = 2
TON_ALPHANUMERIC: Final = 5
"""Types of number, SMPP 3.4 section 5.2.5."""
NPI_UNKNOWN: Final = 0
NPI_ISDN: Final = 1
NPI_NATIONAL: Final = 8
"""Numbering plans, SMPP 3.4 section 5.2.6."""
PLANS: Final = frozenset({NPI_UNKNOWN, NPI_ISDN, NPI_NATIONAL})
"""Those that telephones have; the others are for telex, data and Internet addresses."""

SHORT: Final = 6
"""Digits of the longest short code; no country has subscriber numbers of so few digits with its country code."""
LONGEST: Final = 15
"""Digits of the longest international number (ITU-T E.164, section 6.2.1)."""
LONGEST_WRITTEN: Final = 32
"""Characters of the longest number as people write it, with room to spare; SMPP addresses have at most 20."""
LENGTH: Final = {"7": 11, "1": 11}
"""Digits of a number in countries where all have the same; only there a number is accepted by its look."""

Reason: TypeAlias = Literal["empty", "alphanumeric", "short", "malformed", "impossible"]


@dataclass(frozen=True, slots=True)
class NotSubscriber:
    """What came is no subscriber's number: nothing, a sender's name, a service's short code, or no number at all."""

    reason: Reason


def parse(raw: str, ton: int = TON_UNKNOWN, npi: int = NPI_ISDN, country: str = "7") -> str | NotSubscriber:
    """Return the MSISDN of an address as an SMSC or a person writes it; `country` is the home country's code.

    A name made of digits (TON alphanumeric) is no number, or anybody could write under another's number. Wrong types
    of number are common in the field and harmless otherwise: a complete number of the home country is taken as it is.
    """
    if (
        len(raw) == LENGTH.get(country)
        and raw.startswith(country)
        and raw.isascii()
        and raw.isdigit()
        and ton != TON_ALPHANUMERIC
        and npi in PLANS
    ):
        return raw
    if len(raw) > LONGEST_WRITTEN:
        return NotSubscriber("malformed")
    return _parse(raw, ton, npi, country)


@lru_cache(maxsize=4096)
def _parse(raw: str, ton: int, npi: int, country: str) -> str | NotSubscriber:
    """Do the same for everything else; remembered, because the library needs 50 µs and the same senders return."""
    written = raw.strip()
    if not written:
        return NotSubscriber("empty")
    if ton == TON_ALPHANUMERIC or any(sign.isalpha() for sign in written):
        return NotSubscriber("alphanumeric")
    digits = written.removeprefix("+").translate(_PUNCTUATION)
    if not (digits.isascii() and digits.isdigit()) or npi not in PLANS:
        return NotSubscriber("malformed")
    if len(digits) <= SHORT:
        return NotSubscriber("short")
    if len(digits) > LONGEST:
        return NotSubscriber("malformed")
    abroad = ("+" + digits, None)
    # As dialled at home, with the trunk prefix (8 910 …) or without it.
    at_home = (digits, phonenumbers.region_code_for_country_code(int(country)))
    readings: list[tuple[str, str | None]]
    if written.startswith("+"):
        readings = [abroad]
    elif ton == TON_NATIONAL:
        readings = [at_home]
    elif ton == TON_INTERNATIONAL or digits.startswith(country):
        readings = [abroad, at_home]
    else:
        readings = [at_home, abroad]
    numbers = (_read(text, region) for text, region in readings)
    return next((number for number in numbers if number is not None), NotSubscriber("impossible"))


def _read(text: str, region: str | None) -> str | None:
    """Return the E.164 digits of a number of a plan that exists, else None."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


_PUNCTUATION: Final = dict.fromkeys(map(ord, " -()."))
