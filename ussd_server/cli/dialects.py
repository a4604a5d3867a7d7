"""`ussd-server dialects`: the ways in which gateways spell USSD."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from smpp.dialect import Dialect
from ussd_server.cli.common import EXIT_FAILED, columns
from ussd_server.cli.epilogs import examples
from ussd_server.dialects.files import DialectErrors, UnknownDialect, load, parse, shipped, shipped_text
from ussd_server.dialects.readings import message_of, readings
from ussd_server.dialects.text import written
from ussd_server.settings import SettingsError

app = typer.Typer(
    name="dialects",
    no_args_is_help=True,
    help="The ways in which operators' gateways spell USSD.",
    rich_markup_mode="rich",
    epilog=examples(
        "ussd-server dialects list",
        "ussd-server dialects show sibinco > own.yaml",
        "ussd-server dialects check own.yaml",
        "ussd-server run --smsc 'smpp://user:password@gateway.example:2775?dialect=own.yaml'",
    ),
)


@app.command("list", epilog=examples("ussd-server dialects list"))
def list_them() -> None:
    """List the shipped dialects."""
    for line in columns([(name, load(name).about) for name in shipped()]):
        print(line)


@app.command(epilog=examples("ussd-server dialects show tata", "ussd-server dialects show own.yaml --whole"))
def show(
    dialect: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped dialect, or a file")],
    whole: Annotated[bool, typer.Option("--whole", help="With all that comes from its base")] = False,
) -> None:
    """Print a dialect's file, which another may build on."""
    if whole:
        print(written(_load(dialect)), end="")
    elif dialect in shipped():
        print(shipped_text(dialect), end="")
    else:
        _load(dialect)
        print(Path(dialect).read_text(encoding="utf-8"), end="")


@app.command(epilog=examples("ussd-server dialects check own.yaml"))
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE|NAME", help="A file, or a shipped one", show_default=False)],
) -> int:
    """Check a dialect file. Every mistake is a line: file, line, column, what is wrong and what would be right."""
    try:
        shown = str(file) in shipped() and not file.exists()
        content = shipped_text(str(file)).encode() if shown else file.read_bytes()
    except OSError as error:
        raise SettingsError(f"the dialect file {file} cannot be read: {error.strerror or error}") from None
    try:
        dialect = parse(content, str(file))
    except DialectErrors as mistakes:
        for problem in mistakes.problems:
            print(problem)
        count = len(mistakes.problems)
        print(f"{file}: {count} mistake{'' if count == 1 else 's'}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{file}: no mistakes. Use it with ?dialect={file}, try it with: ussd-server smsc --dialect {file}")
    can = [word for word, sign in (("ask", dialect.ask), ("notify", dialect.notify)) if sign is not None]
    print(f"It {'can ' + ' and '.join(can) if can else 'can begin nothing'} from our side.")
    return 0


@app.command(
    epilog=examples(
        "ussd-server dialects read 00000043 00000005 00000000 00000001 55535344 00 ...",
        "ussd-server dialects read --dialect own.yaml 0000004300000005...",
    )
)
def read(
    octets: Annotated[list[str], typer.Argument(metavar="HEX...", help="A deliver_sm or data_sm of the gateway")],
    dialect: Annotated[
        list[str] | None, typer.Option("--dialect", metavar="FILE", help="A file to try as well (repeatable)")
    ] = None,
) -> None:
    """Say what a gateway's message means in each dialect, the one that explains most of it first.

    The message is the SMPP PDU from its length on, as a capture or the log of the gateway shows it.
    """
    try:
        message = message_of(bytes.fromhex(" ".join(octets).replace(":", " ")))
    except ValueError as error:
        what = "HEX: not octets in hex" if "hexadecimal" in str(error) else f"HEX: {error}"
        raise SettingsError(f"{what}; give a whole PDU, from its length on") from None
    known = [_load(name) for name in (*(dialect or ()), *shipped())]
    rows = [(one.dialect, one.meaning, one.dialogue or "none") for one in readings(message, known)]
    for line in columns([("dialect", "takes it for", "id of the dialogue"), *rows]):
        print(line)


def _load(dialect: str) -> Dialect:
    try:
        return load(dialect)
    except UnknownDialect as error:
        raise SettingsError(str(error)) from None
