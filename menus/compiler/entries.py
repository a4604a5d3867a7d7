"""How a flow is entered: what is dialled and sent, how terminals enter, what may be pushed, each once."""

from collections.abc import Mapping

from menus import schema
from menus.accept import ACCEPTED
from menus.compiler.report import Report
from menus.compiler.ways import Ways
from menus.entries import Code, Entries, Push, Texts, exact_text, parse_code, parse_pattern
from menus.near_names import meant
from menus.registry import Shape
from menus.source import Path


def read_entries(
    entries: Mapping[int, schema.Entry], terminal: Mapping[str, Mapping[str, Shape]], ways: Ways, report: Report
) -> Entries:
    """Read all entries by their place in the file, and the ways from them.

    `terminal` are the words by which terminals may enter, with the values that each brings.
    """
    reader = _Reader(terminal, ways, report)
    for index, entry in entries.items():
        path: Path = ("entries", index)
        ways.target(entry.to, (*path, "to"))
        match entry:
            case schema.UssdEntry():
                reader.code(entry, path)
            case schema.SmsEntry():
                reader.texts(entry, path)
            case schema.TerminalEntry():
                reader.terminal(entry, path)
            case schema.PushEntry():
                reader.push(entry, path)
    return Entries(reader.codes, reader.numbers, reader.words, reader.pushes)


class _Reader:
    """What was read until now, so that nothing is taken twice."""

    def __init__(self, known: Mapping[str, Mapping[str, Shape]], ways: Ways, report: Report) -> None:
        self.codes: dict[Code, str] = {}
        self.numbers: dict[str, Texts] = {}
        self.words: dict[str, str] = {}
        self.pushes: dict[str, Push] = {}
        self.known = known
        self.ways = ways
        self.report = report

    def code(self, entry: schema.UssdEntry, path: Path) -> None:
        self.ways.begin(entry.to, path)
        code = parse_code(entry.ussd)
        if code is None:
            self.report.at_value((*path, "ussd"), f"{entry.ussd!r} cannot be dialled", 'as "*111#" or "*111*2#"')
        elif code in self.codes:
            self.report.at_value((*path, "ussd"), f"{entry.ussd} leads to {self.codes[code]!r} already")
        else:
            self.codes[code] = entry.to

    def texts(self, entry: schema.SmsEntry, path: Path) -> None:
        texts = self.numbers.setdefault(entry.sms, Texts())
        if isinstance(entry.text, str):
            self.text(entry, entry.text, (*path, "text"), path, texts)
            return
        for number, text in enumerate(entry.text):
            self.text(entry, text, (*path, "text", number), path, texts)

    def text(self, entry: schema.SmsEntry, text: str, place: Path, path: Path, texts: Texts) -> None:
        """Read a text, which is exact or has captures."""
        if "{" not in text:
            key = exact_text(text)
            if key in texts.exact:
                self.report.at_value(place, f"{text!r} to {entry.sms} leads to {texts.exact[key]!r} already")
            texts.exact.setdefault(key, entry.to)
            self.ways.begin(entry.to, path)
            return
        pattern = parse_pattern(text)
        if isinstance(pattern, str):
            self.report.at_value(place, pattern, ACCEPTED)
            return
        if any(pattern.skeleton == other.skeleton for other, _ in texts.patterns):
            self.report.at_value(place, f"{text!r} to {entry.sms}: an entry before it takes the same texts")
        texts.patterns.append((pattern, entry.to))
        self.ways.begin(entry.to, path, {name: accept.shape for name, accept in pattern.captures.items()})

    def terminal(self, entry: schema.TerminalEntry, path: Path) -> None:
        word = entry.terminal
        if word not in self.known:
            hint = meant(word, self.known) or "this server has no terminals"
            self.report.at_value((*path, "terminal"), f"terminals do not enter by {word!r}", hint)
        elif word in self.words:
            message = f"terminals enter {self.words[word]!r} by {word!r} already"
            self.report.at_value((*path, "terminal"), message)
        else:
            self.words[word] = entry.to
        self.ways.begin(entry.to, path, self.known.get(word, {}))

    def push(self, entry: schema.PushEntry, path: Path) -> None:
        self.ways.begin(entry.to, path)
        if entry.urgent and entry.category == "offer":
            message = "an offer is never urgent: quiet hours hold for it"
            self.report.at_value((*path, "urgent"), message, "category: service")
        if entry.push in self.pushes:
            leads = self.pushes[entry.push].node
            message = f"there is a push {entry.push!r} already, which leads to {leads!r}"
            self.report.at_value((*path, "push"), message)
            return
        after = schema.milliseconds(entry.after) if entry.after else 0
        within = schema.milliseconds(entry.within)
        self.pushes[entry.push] = Push(entry.push, entry.to, entry.category, after, within, entry.urgent)
