"""One rule for every command: 2 for what was written wrong or names what is not there, 1 for what then fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.ussd_server.cli.command_line import Said
from ussd_server.cli.program import app

MSISDN = "79101234567"
REASON = ("--reason", "asked for it")
PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

RIGHT: dict[str, tuple[str, ...]] = {
    "demo": (),
    "run": ("--smsc", "smpp://a:b@127.0.0.1:1"),
    "smsc": (),
    "dial": (MSISDN,),
    "kiosk": ("--terminal", "none.json"),
    "dead-letters list": (),
    "dead-letters show": ("a-1",),
    "dead-letters retry": ("a-1", *REASON),
    "dead-letters discard": ("a-1", *REASON),
    "flows check": (),
    "flows draw": (),
    "flows test": ("conversation.txt",),
    "flows play": (),
    "dialects list": (),
    "dialects show": ("standard",),
    "dialects check": ("none.yaml",),
    "dialects read": ("00",),
    "keys init": (),
    "keys list": (),
    "keys rotate": (),
    "keys rewrap": (),
    "keys retire": ("kek-1",),
    "keys join": ("none.json",),
    "keys adopt": (),
    "push notify": (MSISDN, "--text", "a"),
    "push ask": (MSISDN, "--screen", "tariffs"),
    "push screens": (),
    "store copy": ("sqlite:///none.db", "sqlite:///other.db"),
    "store compare": ("sqlite:///none.db", "sqlite:///other.db"),
    "store reopen": ("sqlite:///none.db",),
    "subscriber show": (MSISDN,),
    "subscriber unlock": (MSISDN, *REASON),
    "subscriber journal": (MSISDN,),
    "subscriber offers": (MSISDN, "yes", *REASON),
    "subscriber forget": (MSISDN, "--yes"),
    "terminal add": ("hall-1", "--key", PUBLIC),
    "terminal list": (),
    "terminal set": ("hall-1", "--name", "Hall"),
    "terminal quarantine": ("hall-1", *REASON),
    "terminal revoke": ("hall-1",),
}
"""How each command may be called."""


def _leaves() -> Iterator[tuple[str, set[str]]]:
    """Yield every command and its options."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        for inner, each in getattr(command, "commands", {"": command}).items():
            yield f"{name} {inner}".strip(), {option for param in each.params for option in param.opts}


LEAVES = dict(_leaves())
MAY_MAKE = {"demo", "run", "terminal add"}
"""What makes a store, or keys, where there are none."""


def refused(said: Said, words: tuple[str, ...], text: str) -> None:
    assert said(*words) == 2
    assert text in said.err
    assert said.err.count("\n") == 1, said.err
    assert said.out == ""
    assert not Path("var").exists() or [each.name for each in Path("var").iterdir()] == ["keys.json"]


def test_the_table_has_every_command() -> None:
    assert set(RIGHT) == set(LEAVES)


@pytest.mark.parametrize("command", RIGHT)
def test_an_option_that_is_not_there_is_2(command: str, said: Said) -> None:
    refused(said, (*command.split(), *RIGHT[command], "--nope"), "No such option: --nope")


@pytest.mark.parametrize("command", [name for name, options in LEAVES.items() if "--settings" in options])
def test_a_settings_file_that_is_not_there_is_2(command: str, said: Said) -> None:
    refused(said, (*command.split(), *RIGHT[command], "--settings", "none.toml"), "none.toml")


@pytest.mark.parametrize("command", [name for name, options in LEAVES.items() if "--store" in options])
def test_a_store_that_is_none_is_2(command: str, said: Said) -> None:
    refused(said, (*command.split(), *RIGHT[command], "--store", "nope"), "--store: 'nope' is not a store")


@pytest.mark.parametrize(
    "command",
    [
        name
        for name, options in LEAVES.items()
        if "--store" in options and name not in MAY_MAKE and not name.startswith("keys")
    ],
)
def test_a_store_that_is_not_there_is_2(command: str, said: Said) -> None:
    refused(said, (*command.split(), *RIGHT[command], "--store", "sqlite:///nope.db"), "nope.db: there is no such file")


@pytest.mark.parametrize(
    "command", ["keys list", "keys rotate", "keys rewrap", "keys retire", "keys join", "keys adopt"]
)
def test_keys_that_are_not_there_are_2_as_a_store_is(command: str, said: Said) -> None:
    refused(said, (*command.split(), *RIGHT[command], "--data", "nope"), "there are no keys in nope; make them with")


def test_terminals_that_no_keys_are_there_for_are_2(said: Said) -> None:
    refused(said, ("terminal", "add", *RIGHT["terminal add"], "--data", "nope"), "there are no keys in nope")


@pytest.mark.parametrize("command", ["add", "set", "quarantine", "revoke"])
def test_an_id_that_no_terminal_can_have_is_2_as_a_number_that_nobody_can_have_is(command: str, said: Said) -> None:
    assert said("keys", "init") == 0
    assert said("terminal", "add", "hall-2", "--key", PUBLIC) == 0
    _, *rest = RIGHT[f"terminal {command}"]
    assert said("terminal", command, "Hall 1", *rest) == 2
    assert said.err == "error: 'Hall 1' is no terminal's id: 1 to 32 of a-z, 0-9 and -\n"


@pytest.mark.parametrize("command", [name for name, words in RIGHT.items() if MSISDN in words])
def test_a_number_that_nobody_can_have_is_2(command: str, said: Said) -> None:
    _, *rest = RIGHT[command]
    refused(said, (*command.split(), "12", *rest), "'12'")


@pytest.mark.parametrize(
    "words",
    [
        ("kiosk", "--terminal", "none.json"),
        ("dialects", "check", "none.yaml"),
        ("dialects", "show", "none"),
        ("flows", "check", "none.yaml"),
        ("flows", "test", "none.txt"),
        ("flows", "play", "--with", "none.txt"),
        ("flows", "play", "--with", "wrong.txt"),
        ("smsc", "--faults", "none.yaml"),
        ("run", "--smsc", "smpp://a@127.0.0.1:1?password_file=none"),
    ],
    ids=" ".join,
)
def test_a_named_file_that_cannot_be_used_is_2(words: tuple[str, ...], said: Said) -> None:
    Path("wrong.txt").write_text("hello world\n")
    refused(said, words, "none" if "wrong.txt" not in words else "wrong.txt:1: nothing is said before")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("terminal", "revoke", "hall-1"), "there is no terminal hall-1"),
        (("dead-letters", "show", "a-1"), "no dead letter has this id"),
        (("subscriber", "show", MSISDN), "nothing is known of this subscriber"),
        (("keys", "retire", "kek-1"), "there is no key kek-1"),
        (("flows", "check", "wrong.yaml"), ""),
        (("dialects", "check", "wrong.yaml"), ""),
        (("flows", "test", "wrong.txt"), "wrong.txt:1: nothing is said before"),
    ],
    ids=lambda words: " ".join(words),
)
def test_what_was_asked_rightly_and_fails_is_1(words: tuple[str, ...], text: str, said: Said) -> None:
    assert said("keys", "init") == 0
    assert said("terminal", "add", "hall-2", "--key", PUBLIC) == 0
    Path("wrong.yaml").write_text("a: b\n")
    Path("wrong.txt").write_text("hello world\n")
    assert said(*words) == 1
    assert text in said.err
