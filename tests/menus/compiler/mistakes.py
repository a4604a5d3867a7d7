"""Flow files with a mistake, and what is said of them."""

import pytest

from menus.compiler import FlowErrors, compile_flow
from menus.registry import Registry
from tests.menus.small import HEAD, REGISTRY

NODES = HEAD + "nodes:\n"
"""Has 9 lines; the first node stands in line 10."""
MAIN = NODES + "  main:\n    menu: {ru: А, en: A}\n    options:\n      - {ru: Б, en: B, to: next}\n"
"""Has 13 lines; the next option, or the next node, stands in line 14."""
TWO_NODES = NODES + "  main: {menu: A, options: [{ru: Б, en: B, to: x}]}\n  x: {end: A}\n"


def problems(source: str, registry: Registry = REGISTRY) -> list[str]:
    """Return the mistakes of a file that must have some, as they are shown."""
    with pytest.raises(FlowErrors) as caught:
        compile_flow(source, "f", registry)
    told = [str(problem) for problem in caught.value.problems]
    assert str(caught.value) == "\n".join(told)
    return told
