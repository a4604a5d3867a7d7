"""The nodes of a flow, as they are made of what they say and do."""

from tests.menus.compiler.mistakes import NODES, problems


def test_a_secret_is_never_stored():
    nodes = (
        "  main: {input: A, as: pin, accept: digits(4), secret: true, to: x}\n"
        "  x: {command: remember(pin), say: A, done: {sms: A}}\n"
    )
    assert problems(NODES + nodes) == ["f:11:16: a secret cannot be given to a command, which is stored"]


def test_a_command_closes_with_an_sms():
    nodes = (
        "  main: {input: A, as: n, accept: phone, to: x}\n"
        "  x: {command: remember(n), say: A, done: main}\n"
        "  y: {command: remember(n), say: A, done: {sms: A, sm: B}}\n"
    )
    assert problems(NODES + nodes) == [
        "f:11:43: 'done' of command 'x' must have an SMS; {sms: {ru: ..., en: ...}}",
        "f:12:3: nothing leads to 'y'; an option, an outcome or an entry must",
        "f:12:16: there is no value 'n' here",
        "f:12:52: unknown key 'sm'; did you mean 'sms'?",
    ]
