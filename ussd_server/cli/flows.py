"""`ussd-server flows`: for authors of flows."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from menus.compiler import Flow, compile_flow
from menus.draw import mermaid
from menus.schema import FlowErrors
from ussd_server.cli.common import EXIT_FAILED, Failure, SettingsFile, console, examples
from ussd_server.service import REGISTRY
from ussd_server.settings import SettingsError, load

app = typer.Typer(name="flows", no_args_is_help=True, help="For authors of flows.", rich_markup_mode="rich")

FlowFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The flow file [the one that the server would run]", show_default=False),
]


@app.command(epilog=examples("ussd-server flows check", "ussd-server flows check drafts/summer.yaml"))
def check(file: FlowFile = None, settings: SettingsFile = None) -> int:
    """Check a flow file. Every mistake is a line: file, line, column, what is wrong and what would be right."""
    path = load({"flows": file, "settings": settings}).flows
    try:
        flow = read(path)
    except FlowErrors as mistakes:
        for problem in mistakes.problems:
            print(problem)
        print(f"{path}: {count(len(mistakes.problems), 'mistake')}", file=sys.stderr)
        return EXIT_FAILED
    console().print(
        f"{path}: no mistakes. Languages {', '.join(flow.languages)}; "
        f"{count(len(flow.codes), 'USSD code')}, SMS to {', '.join(sorted(flow.numbers)) or 'no number'}."
    )
    return 0


@app.command(epilog=examples("ussd-server flows draw > service.mmd", "ussd-server flows draw --language en"))
def draw(
    file: FlowFile = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="LANGUAGE", help="Labels in this language [the service's first]")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Draw a flow as a Mermaid flowchart: entries, nodes, and what leads where."""
    flow = read(load({"flows": file, "settings": settings}).flows)
    if language is not None and language not in flow.languages:
        raise SettingsError(f"--language {language}: the flow speaks {', '.join(flow.languages)}")
    print(mermaid(flow, language or flow.default_language), end="")


def read(path: Path) -> Flow:
    """Compile a flow file. Raises FlowErrors with every mistake, Failure where it cannot be read."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: the flow file cannot be read: {error.strerror or error}") from None
    return compile_flow(source, str(path), REGISTRY)


def count(number: int, what: str) -> str:
    """Return `1 mistake`, `2 mistakes`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
