"""What may be meant by a word that is not known."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any


def meant(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return the suggestion for a word that is not among the known ones."""
    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {some(known)}" if known else ""


def some(words: Mapping[str, Any] | Sequence[str]) -> str:
    """Return words for a message: no more than can be read."""
    return ", ".join(list(words)[:12]) + (", ..." if len(words) > 12 else "")
