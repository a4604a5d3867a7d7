"""`ussd-server flows`: for authors of flows."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Final

import typer

from menus.compiler import Flow, compile_flow
from menus.draw import mermaid
from menus.scenario import ScenarioError, transcript
from menus.schema import FlowErrors
from ussd_server.channels.ussd import smallest
from ussd_server.cli.common import EXIT_FAILED, Failure, Flows, SettingsFile, complain, console
from ussd_server.cli.epilogs import examples
from ussd_server.settings import Settings, SettingsError, load
from ussd_server.turns.service import REGISTRY

app = typer.Typer(
    name="flows",
    no_args_is_help=True,
    help="For authors of flows.",
    rich_markup_mode="rich",
    epilog=examples("ussd-server flows check", "ussd-server flows play", "ussd-server flows test conversations/"),
)

FLOWS_HERE: Final = "what the settings name, else ./flows.yaml, else the shipped one"
FlowFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help=f"The flow file [{FLOWS_HERE}]", show_default=False),
]


@app.command(epilog=examples("ussd-server flows check", "ussd-server flows check drafts/summer.yaml"))
def check(file: FlowFile = None, settings: SettingsFile = None) -> int:
    """Check a flow file. Every mistake is a line: file, line, column, what is wrong and what would be right."""
    where = load({"flows": file, "settings": settings})
    path = where.flows
    try:
        flow = read(where)
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
    flow = read(load({"flows": file, "settings": settings}))
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
    """Play golden conversations against a flow, and show what is read otherwise than they say.

    With --write nothing is written where one of the files cannot be played, which may be no conversation at all.
    """
    where = load({"flows": flows, "settings": settings})
    flow, fits = read(where), _fits(where)
    texts = {path: _read_text(path) for path in _conversations(conversations)}
    played: dict[Path, str] = {}
    for path, written in texts.items():
        try:
            played[path] = _played(written, flow, fits)
        except ScenarioError as error:
            complain(f"{path}:{error.line}: {error.what}")
    differing = [path for path in played if played[path] != texts[path]]
    wrong = len(texts) - len(played)
    if not write:
        for path in differing:
            _show_difference(path, texts[path], played[path])
    elif not wrong:
        for path in differing:
            _write_text(path, played[path])
    outcome = _outcome(len(differing), wrong, write)
    failed = bool(wrong or (differing and not write))
    print(f"{count(len(texts), 'conversation')}: {outcome}", file=sys.stderr if failed else sys.stdout)
    return EXIT_FAILED if failed else 0


def _played(written: str, flow: Flow, fits: Callable[[str], bool] | None) -> str:
    """Return a conversation as it is now. Raises ScenarioError also for one in which nothing is said."""
    played = transcript(written, flow, fits)
    lines = written.splitlines()
    if not any(line.startswith(">") for line in lines):
        raise ScenarioError(max(1, len(lines)), "this is no conversation: no line begins with >")
    return played


def _show_difference(path: Path, written: str, played: str) -> None:
    for line in unified_diff(written.splitlines(), played.splitlines(), str(path), "now", lineterm=""):
        print(line)


def _outcome(differing: int, wrong: int, write: bool) -> str:
    """Say what came of all conversations together."""
    parts = [f"{differing} otherwise"] if differing and not write else []
    if wrong:
        parts.append(f"{wrong} cannot be played")
    if write:
        parts.append("nothing was written" if wrong else "written")
    return ", ".join(parts) or "all as written"


@app.command(
    epilog=examples(
        "ussd-server flows play",
        "ussd-server flows play --with answers.txt",
        "printf '*111#\\n2\\n' | ussd-server flows play > tariffs.txt",
    )
)
def play(
    file: FlowFile = None,
    start: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="A conversation to go on from, with what is answered")
    ] = None,
    settings: SettingsFile = None,
) -> int:
    """Talk to a flow alone: no server, no operator. What is said can be kept as a golden conversation.

    Dial with *111#, answer with anything else. A line with a verb of a golden conversation is taken as such:
    terminal menu, text 111 ?, given active, answer balance: ok {amount: 1500}, drop, wait 5 min.

    /keep FILE writes the conversation so far for: ussd-server flows test FILE. Lines from a pipe give it as output;
    the exit code is 1 where one of them could not be played.
    """
    where = load({"flows": file, "settings": settings})
    flow, fits = read(where), _fits(where)
    written = _read_text(start) if start is not None else ""
    try:
        talk = Talk(flow, fits, written)
    except ScenarioError as error:
        raise SettingsError(f"--with {start}:{error.line}: {error.what}") from None
    if sys.stdin.isatty() and sys.stdout.isatty():
        talk.with_a_person(sys.stdin)
        return 0
    return EXIT_FAILED if talk.with_a_pipe(sys.stdin) else 0


class Talk:
    """A conversation that grows line by line. `played` is a golden conversation at any time."""

    BANNER = (
        "Dial with *111# (at a terminal: terminal menu), answer with anything else. "
        "/keep FILE keeps the conversation, Ctrl-D ends."
    )
    COMMANDS = "/keep FILE, /help"

    def __init__(self, flow: Flow, fits: Callable[[str], bool] | None, written: str) -> None:
        self._flow = flow
        self._fits = fits
        self._kept: set[Path] = set()
        self._refused = 0
        self.played = transcript(written, flow, fits) if written else ""

    def with_a_person(self, lines: Iterable[str]) -> None:
        """Prompt, and show what is read; what the terminal says itself is no part of the conversation."""
        print(f"{self.BANNER}\n{self.played}> ", end="", flush=True)
        for line in filter(None, map(str.strip, lines)):
            before = len(self.played)
            remark = self._take(line)
            print(f"({remark})\n" if remark else self.played[before:].lstrip("\n").partition("\n")[2], end="")
            print("> ", end="", flush=True)
        print()

    def with_a_pipe(self, lines: Iterable[str]) -> int:
        """Print the conversation and nothing else: a remark is a comment in it. Return how many lines were refused."""
        print(self.played, end="", flush=True)
        for line in filter(None, map(str.strip, lines)):
            before = len(self.played)
            remark = self._take(line)
            if remark:
                self._add(f"# {line}: {remark}")
            print(self.played[before:], end="", flush=True)
        return self._refused

    def _take(self, line: str) -> str:
        """Do what a line says; return what there is to remark, "" for nothing."""
        if line.startswith("/"):
            return self._command(*line.split(maxsplit=1))
        try:
            self._add(_as_written(line))
        except ScenarioError as error:
            return self._refuse(error.what)
        return ""

    def _refuse(self, why: str) -> str:
        self._refused += 1
        return why

    def _add(self, line: str) -> None:
        self.played = transcript(f"{self.played}{line}\n", self._flow, self._fits)

    def _command(self, name: str, place: str = "") -> str:
        if name == "/help":
            return self.BANNER
        if name != "/keep" or not place:
            return self._refuse(f"there are {self.COMMANDS}; to answer with {name}: reply {name}")
        path = Path(place)
        if path.exists() and path not in self._kept:
            return self._refuse(f"{path} is there already; choose another name")
        try:
            _replace(path, self.played)
        except OSError as error:
            return self._refuse(f"{path} cannot be written: {error.strerror or error}")
        self._kept.add(path)
        return f"kept; play it again with: ussd-server flows test {path}"


_VERBS = ("text", "terminal", "drop", "wait", "deliver", "outcome", "dial", "reply")


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
        raise SettingsError(f"{places[0]}: no conversations (*.txt) there")
    return paths


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path}: the conversation cannot be read: {cause}") from None


def _write_text(path: Path, text: str) -> None:
    try:
        _replace(path, text)
    except OSError as error:
        raise Failure(f"{path}: the conversation cannot be written: {error.strerror or error}") from None


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: where that is interrupted, what was there is there still. Raises OSError."""
    place = path.resolve()  # what a link leads to, so that the link stays
    beside = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, beside)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def read(settings: Settings) -> Flow:
    """Compile the flow file as the server does. Raises FlowErrors with every mistake, SettingsError if it is not there.

    What must fit one screen is measured by the settings' screen.
    """
    try:
        source = settings.flows.read_bytes()
    except OSError as error:
        raise SettingsError(f"{settings.flows}: the flow file cannot be read: {error.strerror or error}") from None
    return compile_flow(source, str(settings.flows), REGISTRY, _fits(settings))


def _fits(settings: Settings) -> Callable[[str], bool] | None:
    dialects = [url.dialect for url in settings.smsc]
    return smallest(settings.ussd_septets, settings.ussd_ucs2_units, dialects).fits


def count(number: int, what: str) -> str:
    """Return `1 mistake`, `2 mistakes`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
