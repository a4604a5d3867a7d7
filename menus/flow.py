"""A checked flow, ready to be run by the engine. Immutable; made by the compiler alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from menus.availability import Availability
from menus.conditions import Facts
from menus.entries import Entries, Match, Push
from menus.machine import Moves
from menus.memory import Memory
from menus.nodes import Node, Wording
from menus.registry import Registry
from menus.screens import KEPT, Screens
from menus.session import decode
from menus.shapes import fits
from menus.style import Style


@dataclass(frozen=True)
class Flow:
    """A checked service. `revision` changes whenever what the file says changes; comments and layout do not count."""

    name: str
    service: str
    revision: str
    style: Style
    registry: Registry
    nodes: Mapping[str, Node]
    moves: Moves
    entries: Entries
    phrases: Mapping[str, Wording]
    home: str
    within: int
    """For how many milliseconds a dropped session can be resumed."""
    secrets: frozenset[str]
    facts: frozenset[str]
    """The facts that conditions ask for; a step depends on no others, but for the language."""
    screens: Screens
    availability: Availability | None = None

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The declared languages; the first is the default."""
        return self.style.languages.declared

    @cached_property
    def default_language(self) -> str:
        """The language of a subscriber who has chosen none."""
        return self.style.languages.default

    def language(self, facts: Facts) -> str:
        """Return the language in which a subscriber of whom this is known is spoken to."""
        language = facts.get("language")
        return str(language) if language in self.languages else self.default_language

    @property
    def codes(self) -> tuple[str, ...]:
        """The USSD codes that the flow serves, as `*111#`."""
        return tuple(f"{prefix}{'*'.join(rest)}#" for prefix, *rest in self.entries.codes)

    @property
    def numbers(self) -> frozenset[str]:
        """The numbers to which the flow takes SMS."""
        return frozenset(self.entries.texts)

    def match_ussd(self, code: str) -> Match | None:
        """Return where `*111*2*1#` leads: the longest entry that fits, and the rest as the tail."""
        return self.entries.match_ussd(code)

    def match_sms(self, number: str, text: str) -> Match | None:
        """Return where this SMS to this number leads; neither case nor blanks around it count."""
        return self.entries.match_sms(number, text)

    def match_terminal(self, word: str) -> str | None:
        """Return the node at which a terminal enters by one of the registry's words; None: the flow has no such way."""
        return self.entries.terminal.get(word)

    @property
    def pushes(self) -> Mapping[str, Push]:
        """What may be pushed to a subscriber, by name."""
        return self.entries.pushes

    @cached_property
    def fits(self) -> Callable[[str, str, bytes], bool]:
        """Whether an answer, encoded, is what the operation declares for this outcome; what was judged is kept."""
        operations = self.registry.operations

        def fit(operation: str, outcome: str, value: bytes) -> bool:
            shape = operations[operation].outcomes[outcome]
            return fits(decode(value), shape) if shape is not None else True

        return lru_cache(KEPT)(fit)

    @cached_property
    def memory(self) -> Memory["Flow"]:
        """Steps that were taken before."""
        return Memory(self)
