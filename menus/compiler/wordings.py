"""Texts: one for all, by language, or by channel; each checked against the values that are there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from menus.compiler.report import Report
from menus.compiler.scope import Scope
from menus.limits import MAX_TEXT
from menus.nodes import Wording
from menus.registry import Shape
from menus.schema import CHANNELS
from menus.source import Path
from menus.style import Style
from menus.text import Template, compile_text

REST: Final = "other"


class Wordings:
    """Makes the texts of a flow."""

    def __init__(self, style: Style, scope: Scope, report: Report) -> None:
        self._style = style
        self._scope = scope
        self._report = report

    def of_node(self, node: str, key: str, written: Any) -> Wording:
        """Make the text that a node has under a key."""
        return self.wording(("nodes", node, key), written, self._scope.values(node), node)

    def label(self, node: str, path: Path, others: Mapping[str, Any], text: Any, keys: Sequence[str]) -> Wording:
        """Make an option's label: languages as keys of the option itself, or a text of its own.

        `others` are the keys beside those that an option has, `keys`.
        """
        languages = self._style.languages.declared
        unknown = [key for key in others if key not in languages]
        for key in unknown:
            self._report.unknown_key((*path, key), [*keys, *languages])
        values = self._scope.values(node)
        if text is not None:
            return self.wording((*path, "text"), text, values, node)
        return self.wording(path, {key: text for key, text in others.items() if key not in unknown}, values, node)

    def wording(self, path: Path, written: Any, values: Mapping[str, Shape], node: str = "") -> Wording:
        """Make a text from what is written there; `node` is where it is said, "" outside of nodes."""
        if not isinstance(written, dict) or not written or not all(key in (*CHANNELS, REST) for key in written):
            template, names = self._template(path, written, values, node)
            return Wording(template, {}, names)
        if REST not in written and any(channel not in written for channel in CHANNELS):
            missing = next(channel for channel in CHANNELS if channel not in written)
            message = f"no text for the channel {missing!r}"
            self._report.at_value(path, message, f"{REST}: is for all that are not named")
        made = {key: self._template((*path, key), text, values, node) for key, text in written.items()}
        other = made[REST][0] if REST in made else next(iter(made.values()))[0]
        names = frozenset[str]().union(*(used for _, used in made.values()))
        return Wording(other, {key: template for key, (template, _) in made.items() if key != REST}, names)

    def _template(
        self, path: Path, written: Any, values: Mapping[str, Shape], node: str
    ) -> tuple[Template, frozenset[str]]:
        """Compile a text that is given by language, or once for all of them."""
        before = self._report.count
        texts = dict(self._texts(path, written))
        told = self._report.count > before
        compiled = compile_text(texts, values, self._style)
        alone = isinstance(written, str)
        for problem in compiled.problems:
            if told and problem.language not in texts:
                continue
            place: Path = path if alone or problem.language not in texts else (*path, problem.language)
            self._scope.tell(node, place, problem)
        return compiled.template, compiled.names

    def _texts(self, path: Path, written: Any) -> Iterator[tuple[str, str]]:
        """Yield a text by language, and note what is no text."""
        if isinstance(written, str):
            self._check_length(path, written)
            for language in self._style.languages.written:
                yield language, written
        elif isinstance(written, dict):
            for language, text in written.items():
                place = (*path, language)
                if isinstance(text, str):
                    self._check_length(place, text)
                    yield language, text
                elif text is None and not re.fullmatch(r"[a-z]{2,3}(-\w+)?", language):
                    self._report.at_value(path, "this is not a text", "one that begins with { stands in quotes")
                    return
                else:
                    self._report.no_text(place)
        else:
            self._report.no_text(path, "{ru: ..., en: ...}")

    def _check_length(self, path: Path, text: str) -> None:
        if len(text) > MAX_TEXT:
            self._report.at_value(path, f"a text of {len(text)} characters", f"at most {MAX_TEXT}")
