"""What may be meant by a word that is not known."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

_SPELT: Final = {"name": "as", "first": "from"}
"""Keys of a flow file by what they are, for whoever writes that instead."""


def meant(word: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return the suggestion for a word that is not among the known ones."""
    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {some(known)}" if known else ""


def meant_key(key: str, known: Sequence[str]) -> str:
    """Return the suggestion for a key that cannot stand where it does."""
    spelt = _SPELT.get(key)
    return f"did you mean {spelt!r}?" if spelt in known else meant(key, known)


def some(words: Mapping[str, Any] | Sequence[str]) -> str:
    """Return words for a message: no more than can be read."""
    return ", ".join(list(words)[:12]) + (", ..." if len(words) > 12 else "")
