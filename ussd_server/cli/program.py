"""`ussd-server`: the commands put together, and how every one of them ends."""

import errno
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperArgument
from typer.exceptions import Exit, TyperException

from menus.schema import FlowErrors
from ussd_server.cli import dead_letters, dialects, flows, keys, kiosk, push, serve, store_copy, subscriber, terminal
from ussd_server.cli.common import EXIT_FAILED, EXIT_USAGE, Failure, Interrupted, complain
from ussd_server.cli.epilogs import examples
from ussd_server.dialects.files import DialectErrors
from ussd_server.secrecy.keys import KeysError
from ussd_server.settings import SettingsError
from ussd_server.simulator.fault_file import FaultErrors
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.moving import CopyError
from ussd_server.terminals.credentials import CredentialsError

HELP = ["-h", "--help"]

app = typer.Typer(
    name="ussd-server",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    epilog=examples("ussd-server demo", "ussd-server run --smsc smpp://user:password@smsc.example:2775"),
)
serve.add_to(app)
kiosk.add_to(app)
app.add_typer(dead_letters.app)
app.add_typer(flows.app)
app.add_typer(dialects.app)
app.add_typer(keys.app)
app.add_typer(push.app)
app.add_typer(store_copy.app)
app.add_typer(subscriber.app)
app.add_typer(terminal.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ussd-server {version('ussd-server')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """USSD and SMS self-service for a mobile operator."""


def outcome(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. An error with a mend is one line; a defect keeps its trace.

    Only mistakes in what people write into a file, or set, are several lines: all of them, to be mended at once.
    """
    command = typer.main.get_command(app)
    _tidy_help(command)
    try:
        result = _run(command, arguments)
        if sys.stdout is not None:  # it is None where it was closed before we began
            sys.stdout.flush()
    except SettingsError as error:
        for mistake in error.args:
            complain(mistake)
        return EXIT_USAGE
    except (FlowErrors, DialectErrors, FaultErrors) as mistakes:
        for problem in mistakes.problems:
            complain(str(problem))
        return EXIT_USAGE
    except (Failure, CopyError, KeysError, CredentialsError, StoreUnavailable) as error:
        complain(str(error))
        return EXIT_FAILED
    except Interrupted as end:
        print(end, file=sys.stderr)
        return end.exit_code
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        return _usage(error)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); what is left to flush would only complain again.
        sys.stdout = None
        return EXIT_FAILED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.stdout = None
        complain(f"{error.filename or 'the output'}: {error.strerror}")
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def _run(command: Any, arguments: Sequence[str]) -> Any:
    """Run a command. Of work that was done many at once, what broke first says why the rest was left."""
    try:
        return command.main(list(arguments), prog_name="ussd-server", standalone_mode=False)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _tidy_help(command: Any) -> None:
    """Keep Python's types out of the help, and what stands in brackets in it.

    `<bool>` and `<list[Path]>` tell an operator nothing. An option shows its metavar instead of its type where it has
    one; what an argument shows cannot be set otherwise. A default as `[standard]` would be taken for Rich's markup.
    """
    help_option = command.get_help_option(typer.Context(command, help_option_names=HELP))
    for param in filter(None, (*command.params, help_option)):
        if param.metavar is None or isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None
        param.help = escape(param.help or "")
    for inner in getattr(command, "commands", {}).values():
        _tidy_help(inner)


def _usage(error: TyperException) -> int:
    text = error.format_message()
    if not text or "\n" in text:  # a command group without a command: its help is the message
        print(text)
        return EXIT_USAGE
    path = getattr(getattr(error, "ctx", None), "command_path", "ussd-server")
    complain(f"{text} (see {path} --help)")
    return error.exit_code
