"""Conditions of options and checks, and the facts that they ask for."""

from collections.abc import Mapping

from menus.compiler.scope import Scope
from menus.conditions import Condition, Mistake, compile_condition, facts_named
from menus.registry import Shape
from menus.schema import CHANNELS
from menus.source import Path
from menus.style import Languages


class Conditions:
    """Makes conditions. `asked_for` are the facts that those made until now name."""

    def __init__(self, facts: Mapping[str, Shape], languages: Languages, scope: Scope) -> None:
        self.asked_for: set[str] = set()
        self._facts = facts
        self._words = {"language": frozenset(languages.declared), "channel": frozenset(CHANNELS)}
        self._scope = scope

    def condition(self, node: str, path: Path, written: str) -> Condition:
        """Compile a condition of a node against the values that are there."""
        found = compile_condition(written, self._scope.words(node), self._facts, self._words)
        self.asked_for |= facts_named(written, self._facts)
        if not isinstance(found, Mistake):
            return found
        self._scope.tell(node, path, found)
        return lambda values, facts: False
