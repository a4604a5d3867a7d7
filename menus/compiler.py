"""A flow file, checked as a whole and made ready to run."""

from dataclasses import dataclass, field

from menus.registry import Registry
from menus.schema import FlowErrors as FlowErrors
from menus.schema import Problem as Problem
from menus.session import Values


@dataclass(frozen=True)
class Match:
    """Where an entry leads: the node, inputs given in advance (`tail`), and what the entry's pattern captured."""

    node: str
    tail: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A checked service. `revision` changes whenever what the file says changes; comments and layout do not count."""

    name: str
    revision: str
    languages: tuple[str, ...]

    @property
    def default_language(self) -> str:
        """The language of a subscriber who has chosen none."""
        return self.languages[0]

    @property
    def codes(self) -> tuple[str, ...]:
        """The USSD codes that the flow serves, as `*111#`."""
        raise NotImplementedError

    @property
    def numbers(self) -> frozenset[str]:
        """The numbers to which the flow takes SMS."""
        raise NotImplementedError

    def match_ussd(self, code: str) -> Match | None:
        """Return where `*111*2*1#` leads: the longest entry that fits, and the rest as the tail."""
        raise NotImplementedError

    def match_sms(self, number: str, text: str) -> Match | None:
        """Return where this SMS to this number leads; neither case nor blanks around it count."""
        raise NotImplementedError


def compile_flow(source: str | bytes, name: str, registry: Registry) -> Flow:
    """Check a flow file and make it ready; raises `FlowErrors` with every mistake in it. `name` is put before each."""
    raise NotImplementedError
