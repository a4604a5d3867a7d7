"""Words for mistakes in what an operator of the server has written."""

import difflib
from collections.abc import Callable, Iterable


def nearest(word: str, known: Iterable[str], spell: Callable[[str], str] = str) -> str:
    """Return the end of a message about an unknown word: the known one that was meant, or all of them."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {spell(close[0])}?" if close else f"; known are {', '.join(map(spell, sorted(known)))}"


def cause(error: Exception) -> str:
    """Return why a file cannot be used."""
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"
