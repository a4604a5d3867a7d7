"""Whether a value is what its shape says, and what a shape is called in a message."""

from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text, Word
from menus.session import Value


def fits(value: Value, shape: Shape) -> bool:
    """Whether a value from outside can be used where this shape is expected. A record may have more fields."""
    match shape:
        case Text(localized=True):
            return (
                isinstance(value, dict)
                and bool(value)
                and all(isinstance(key, str) and isinstance(text, str) for key, text in value.items())
            )
        case Text() | Date():
            return isinstance(value, str)
        case Number() | Money() | Instant():
            return isinstance(value, int) and not isinstance(value, bool)
        case Flag():
            return isinstance(value, bool)
        case Record(fields=fields):
            return isinstance(value, dict) and all(
                name in value and fits(value[name], field) for name, field in fields.items()
            )
        case List(of=of):
            return isinstance(value, list) and all(fits(item, of) for item in value)


def same(value: Shape | Word, wanted: Shape | Word) -> bool:
    """Whether a value of one shape can be given where the other is expected; records are known by their names."""
    if isinstance(value, Record) and isinstance(wanted, Record):
        return value.name == wanted.name
    if isinstance(value, List) and isinstance(wanted, List):
        return same(value.of, wanted.of)
    if isinstance(value, Word):
        return wanted == Text() or (isinstance(wanted, Word) and value.words <= wanted.words)
    return value == wanted


def described(shape: Shape | Word) -> str:
    """Return what a shape is called: `a text`, `offering`, `a list of offering`."""
    match shape:
        case Record(name=name):
            return name
        case List(of=of):
            return f"a list of {described(of)}"
        case Word(words=words):
            return "one of " + ", ".join(sorted(words))
        case Text(localized=True):
            return "a localized text"
        case Flag():
            return "yes or no"
        case _:
            return f"{'an' if isinstance(shape, Instant) else 'a'} {type(shape).__name__.lower()}"
