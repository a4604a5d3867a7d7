"""USSD: how much fits on its screens, and how a dialogue's message becomes an input."""

from collections.abc import Callable
from typing import Literal

from menus.render import Channel
from smpp import ussd
from smpp.alphabets import septets, ucs2_units
from ussd_server.channels.base import Input

SEPTETS = 182
UCS2_UNITS = 80
"""What fits into the 160 octets of a USSD string (3GPP TS 23.038 §6.1.2.3, TS 22.090); an account may set less."""


def screen(septet_limit: int, ucs2_limit: int) -> Channel:
    """Return the USSD channel of an account: a page is measured as it will be encoded, in septets or UCS-2 units."""
    return Channel("ussd", _fits(septet_limit, ucs2_limit))


def _fits(septet_limit: int, ucs2_limit: int) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        used = septets(text)
        return ucs2_units(text) <= ucs2_limit if used is None else used <= septet_limit

    return fits


def to_input(
    heard: ussd.Input,
    msisdn: str,
    channel: Channel,
    *,
    account: str,
    link: str,
    sequence: int,
    now: int,
    accepted: bool,
) -> Input:
    """Return what the subscriber did in a dialogue. `account`, with the network's id, names the dialogue."""
    kind: Literal["dial", "reply", "drop"] = "drop"
    text, step = "abort", None
    if isinstance(heard, ussd.Begin | ussd.Answer):
        kind = "dial" if isinstance(heard, ussd.Begin) else "reply"
        text, step = heard.text, heard.sequence
    return Input(
        msisdn=msisdn,
        channel=channel,
        kind=kind,
        text=text,
        account=account,
        dialogue=f"{account}/{heard.dialogue}",
        link=link,
        sequence=sequence,
        at=now,
        step=-1 if step is None else step,
        accepted=accepted,
    )
