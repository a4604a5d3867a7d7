"""Figures and paragraphs as they are written in the document."""

import textwrap


def count(number: int) -> str:
    """Return how many, in millions from one million on."""
    return f"{number / 1e6:.3g} million" if number >= 10**6 else f"{number:,}"


def us(seconds: float) -> str:
    """Return a time in whole microseconds."""
    return f"{seconds * 1e6:.0f} µs"


def ms(seconds: float) -> str:
    """Return a time in milliseconds."""
    return f"{seconds * 1e3:.2f} ms"


def octets(number: float) -> str:
    """Return a size, with its unit."""
    return f"{number:,.0f} octets"


def wrapped(text: str) -> str:
    """Return a paragraph in the document's lines."""
    return textwrap.fill(" ".join(text.split()), 150, break_on_hyphens=False)
