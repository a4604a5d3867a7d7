"""What a flow shows and the operator offers, as a terminal is told it: data in the visit's language, with prices."""

from collections.abc import Mapping
from typing import Final

from menus.events import Option, Show
from menus.flow import Flow
from menus.formats import spell
from menus.session import Value, Values
from ussd_server.operators.base import Money
from ussd_server.terminals import messages
from ussd_server.turns.service import QUOTE

HEADED: Final = frozenset({"menu", "list"})
"""Screens whose text is a heading; above it stands at most why they are shown again."""


def screen(show: Show, number: int, flow: Flow, language: str) -> messages.Screen:
    """Return what is on show as screen `number` of a visit."""
    what = show.screen
    text, title = what.text, ""
    if what.kind in HEADED:
        text, _, title = what.text.rpartition("\n")
    priced = next((value for value in what.about.values() if _is_quote(value)), None)
    return messages.Screen(
        id=number,
        kind=what.kind,
        title=title,
        text=text,
        options=[_option(each) for each in what.options],
        navigation=[_option(each) for each in what.navigation],
        input=what.input,
        secret=what.secret,
        ends=show.ends,
        quote=None if priced is None else quote(priced, flow, language),
    )


def quote(value: Values, flow: Flow, language: str) -> messages.Quote:
    """Return a value of the shape `service.QUOTE` as a message."""
    currency = value["currency"]
    return messages.Quote(
        id=value["id"],
        change=value["change"],
        offering=offering(value["offering"], currency, flow, language),
        price=messages.Money(value["price"], currency),
        monthly=messages.Money(value["monthly"], currency),
        starts=value["starts"],
        balance_after=messages.Money(value["balance_after"], currency),
    )


def offering(value: Values, currency: str, flow: Flow, language: str) -> messages.Offering:
    """Return a value of the shape `service.OFFERING` as a message."""
    return messages.Offering(
        id=value["id"],
        kind=value["kind"],
        number=value["number"],
        name=_localized(value["name"], flow, language),
        summary=_localized(value["summary"], flow, language),
        price=messages.Money(value["price"], currency),
        monthly=messages.Money(value["monthly"], currency),
    )


def money(amount: Money) -> messages.Money:
    """Return an operator's amount as a message."""
    return messages.Money(amount.minor, amount.currency)


def _option(option: Option) -> messages.Option:
    return messages.Option(option.key, option.label)


def _is_quote(value: Value) -> bool:
    return isinstance(value, dict) and value.keys() == QUOTE.fields.keys()


def _localized(texts: Mapping[str, str], flow: Flow, language: str) -> str:
    """Return an operator's text as a flow would show it: in the language, one it derives from, or any."""
    languages = flow.style.languages
    text = languages.source(language, texts)
    if text is None:
        text = texts.get(languages.default) or next(iter(texts.values()), "")
    return spell(language, text)
