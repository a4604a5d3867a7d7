"""The engine's own texts: the flow's words for them, else the built-in ones; and whether they fit one screen."""

from collections.abc import Callable, Mapping
from typing import Any

from menus.compiler.report import Report
from menus.compiler.wordings import Wordings
from menus.flow import Flow
from menus.nodes import Wording
from menus.phrases import ADDED, PHRASE_VALUES, PHRASES, SMS_PHRASES
from menus.source import Path
from menus.style import Style
from menus.text import compile_text


def read_phrases(texts: Mapping[str, Any], style: Style, wordings: Wordings, report: Report) -> dict[str, Wording]:
    """Return every phrase by its name; `texts` are those that the flow words itself."""
    for name in texts:
        if name not in PHRASES:
            report.unknown_key(("texts", name), list(PHRASES))
    found: dict[str, Wording] = {}
    written = style.languages.written
    for name, built_in in PHRASES.items():
        values = PHRASE_VALUES.get(name, {})
        if name in texts:
            found[name] = wordings.wording(("texts", name), texts[name], values)
            continue
        missing = [language for language in written if language not in built_in]
        if missing and name not in ADDED:
            report.at_value(("texts",), f"'texts' has no {name!r}, and there is none in {missing[0]!r} built in")
        ours = {language: built_in.get(language, built_in["en"]) for language in written}
        found[name] = Wording(compile_text(ours, values, style).template)
    return found


def check_fit(flow: Flow, fits: Callable[[str], bool], report: Report) -> None:
    """Complain of the engine's own texts that are longer than one screen, in any language."""
    elsewhere = SMS_PHRASES | PHRASE_VALUES.keys()
    shown: dict[Path, Wording] = {
        ("texts", name): wording for name, wording in flow.phrases.items() if name not in elsewhere
    }
    if flow.availability is not None:
        shown["availability", "outside"] = flow.availability.outside
    for path, wording in shown.items():
        for language in flow.languages:
            if not fits(wording.render("ussd", language, {})):
                message = f"{path[-1]!r} does not fit one USSD screen in {language!r}"
                report.at_value(path, message, "it closes a dialogue, so it has no further pages")
