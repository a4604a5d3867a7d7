"""`ussd-server flows`: for authors of flows."""

import sys
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from menus.compiler import Flow, compile_flow
from menus.draw import mermaid
from menus.scenario import ScenarioError, transcript
from menus.schema import FlowErrors
from ussd_server.channels.ussd import screen
from ussd_server.cli.common import EXIT_FAILED, Failure, Flows, SettingsFile, console, examples
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


@app.command(
    "test",
    epilog=examples(
        "ussd-server flows test conversations/",
        "ussd-server flows test balance.txt --flows drafts/summer.yaml",
        "ussd-server flows test --write balance.txt",
    ),
)
def play_golden(
    conversations: Annotated[
        list[Path], typer.Argument(metavar="CONVERSATION...", help="Files, or directories with .txt files")
    ],
    flows: Flows = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write down what is read now, to be looked at as a diff")
    ] = False,
    settings: SettingsFile = None,
) -> int:
    """Play golden conversations against a flow, and show what is read otherwise than they say."""
    where = load({"flows": flows, "settings": settings})
    flow, fits = read(where.flows), screen(where.ussd_septets, where.ussd_ucs2_units).fits
    differing = 0
    paths = _conversations(conversations)
    for path in paths:
        written = _read_text(path)
        try:
            played = transcript(written, flow, fits)
        except ScenarioError as error:
            raise Failure(f"{path}:{error.line}: {str(error).partition(': ')[2]}") from None
        if write:
            path.write_text(played, encoding="utf-8")
        elif played != written:
            differing += 1
            for line in unified_diff(written.splitlines(), played.splitlines(), str(path), "now", lineterm=""):
                print(line)
    done = "written" if write else f"{differing} otherwise" if differing else "all as written"
    print(f"{count(len(paths), 'conversation')}: {done}", file=sys.stderr if differing else sys.stdout)
    return EXIT_FAILED if differing else 0


@app.command(epilog=examples("ussd-server flows play", "ussd-server flows play --with answers.txt"))
def play(
    file: FlowFile = None,
    start: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="A conversation to go on from, with what is answered")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Talk to a flow alone: no server, no operator. What you type can be kept as a golden conversation.

    Dial with *111#, answer with anything else. A line with a verb of a golden conversation is taken as such:
    text 111 ?, given active, answer balance: ok {amount: 1500}, drop, wait 5 min.
    """
    where = load({"flows": file, "settings": settings})
    flow, fits = read(where.flows), screen(where.ussd_septets, where.ussd_ucs2_units).fits
    terminal = sys.stdin.isatty()
    played = transcript(_read_text(start), flow, fits) if start is not None else ""
    print(f"{played}{'> ' if terminal else ''}", end="", flush=True)
    for line in filter(None, map(str.strip, sys.stdin)):
        try:
            longer = transcript(f"{played}{_as_written(line)}\n", flow, fits)
        except ScenarioError as error:
            print(f"({str(error).partition(': ')[2]})")
        else:
            new = longer[len(played) :].lstrip("\n")
            print(new.partition("\n")[2] if terminal else new, end="")
            played = longer
        print("> " if terminal else "", end="", flush=True)


_VERBS = ("text", "drop", "wait", "deliver", "outcome", "dial", "reply")


def _as_written(typed: str) -> str:
    """Return what was typed as a line of a golden conversation."""
    verb = typed.partition(" ")[0]
    if verb in ("given", "answer") or typed.startswith((">", "#")):
        return typed
    if verb in _VERBS:
        return f"> {typed}"
    return f"> dial {typed}" if typed.startswith("*") else f"> reply {typed}"


def _conversations(places: list[Path]) -> list[Path]:
    paths = [path for place in places for path in (sorted(place.glob("*.txt")) if place.is_dir() else [place])]
    if not paths:
        raise Failure(f"{places[0]}: no conversations (*.txt) there")
    return paths


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Failure(f"{path}: the conversation cannot be read: {cause}") from None


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
