"""A `Secret` gives its value to `reveal()` and to nothing else."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import string
import traceback
from collections.abc import Callable

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from ussd_server.secrecy.secrets import HIDDEN, Secret

CODE = "90417263"
TEXT: Secret[str] = Secret(CODE)
OCTETS: Secret[bytes] = Secret(CODE.encode())


class Holder(msgspec.Struct):
    code: Secret[str]


@dataclasses.dataclass
class Record:
    code: Secret[str]


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    code: Secret[str]


SHOWN: list[Callable[[Secret[str]], str]] = [
    repr,
    str,
    ascii,
    format,
    "{}".format,
    "{!r:>40}".format,
    lambda secret: f"{secret}{secret!r}{secret!s}{secret!a}{secret:>12}",
    lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031
    lambda secret: string.Template("$code").substitute(code=secret),
    lambda secret: repr([secret, (secret,), {"code": secret}]),
    lambda secret: str(Holder(secret)) + str(Record(secret)) + str(Model.model_construct(code=secret)),
    lambda secret: str(dataclasses.asdict(Record(secret))) + str(msgspec.structs.asdict(Holder(secret))),
    lambda secret: str(Model.model_construct(code=secret).model_dump()),
    lambda secret: str(ValueError(secret)) + repr(ValueError("wrong", secret)),
    lambda secret: json.dumps({"code": secret}, default=str),
    lambda secret: json.dumps([secret], default=repr),
    lambda secret: msgspec.json.encode(Holder(secret), enc_hook=str).decode(),
    pprint.pformat,
    pretty_repr,
    lambda secret: repr(copy.copy(secret)) + repr(copy.deepcopy([secret])),
]


@pytest.mark.parametrize("secret", [TEXT, OCTETS], ids=["text", "octets"])
@pytest.mark.parametrize("show", SHOWN)
def test_shows_nothing(show: Callable[[object], str], secret: Secret[str]) -> None:
    assert CODE in show(CODE)  # the way is one that shows
    shown = show(secret)
    assert CODE not in shown
    assert HIDDEN in shown


REFUSED: list[Callable[[Secret[str]], object]] = [
    json.dumps,
    lambda secret: json.dumps({"a": [secret]}),
    msgspec.json.encode,
    msgspec.msgpack.encode,
    msgspec.to_builtins,
    lambda secret: msgspec.msgpack.encode(Holder(secret)),
    pickle.dumps,
    *(
        lambda secret, protocol=protocol: pickle.dumps([secret], protocol=protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
    lambda secret: secret.__reduce__(),
    lambda secret: secret.__getstate__(),
    lambda secret: Model.model_construct(code=secret).model_dump_json(),
    vars,
    list,
    bytes,
    memoryview,
    "".join,
    b"".join,
    lambda secret: secret + "",  # type: ignore[operator]
    hash,
    len,
    sorted,
]


@pytest.mark.parametrize("secret", [TEXT, OCTETS], ids=["text", "octets"])
@pytest.mark.parametrize("take", REFUSED)
def test_is_refused_by_what_would_carry_it_away(take: Callable[[object], object], secret: Secret[str]) -> None:
    with pytest.raises((TypeError, PydanticSerializationError)) as caught:
        take(secret)
    assert CODE not in str(caught.value)


def shown_with_variables(error: BaseException) -> list[str]:
    """Return the error as three tools show it with every frame's variables."""
    rich = io.StringIO()
    Console(file=rich, width=200).print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    )
    structured = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
    return [
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        rich.getvalue(),
        str(structured((type(error), error, error.__traceback__))),
    ]


def test_a_traceback_that_shows_variables_shows_nothing() -> None:
    def check(entered: object) -> None:
        held = {"entered": entered}
        raise RuntimeError(f"broken at {held}")

    def fail(entered: object) -> list[str]:
        try:
            check(entered)
        except RuntimeError as error:
            return shown_with_variables(error)
        raise AssertionError

    # Source lines, which tracebacks quote, name CODE and never its digits.
    for witness in fail(CODE):
        assert CODE in witness
    for shown in fail(Secret(CODE)):
        assert "entered" in shown
        assert HIDDEN in shown
        assert CODE not in shown


def test_logging_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("any").info("code %s, %r", TEXT, OCTETS)
    assert caplog.messages == [f"code {HIDDEN}, {HIDDEN}"]


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.JSONRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ],
)
def test_structlog_shows_nothing_even_without_our_processors(renderer: structlog.typing.Processor) -> None:
    shown = renderer(None, "info", {"event": "checked", "code": TEXT, "codes": [OCTETS]})
    assert HIDDEN in str(shown)
    assert CODE not in str(shown)


def test_nothing_is_found_by_walking_through_the_object() -> None:
    assert not hasattr(TEXT, "__dict__")
    for name in dir(TEXT):
        if name not in ("__getstate__", "__hash__"):
            assert CODE not in repr(getattr(TEXT, name))


def test_cannot_be_changed() -> None:
    secret = Secret("a")
    for change in (lambda: setattr(secret, "_keeper", None), lambda: delattr(secret, "_keeper")):
        with pytest.raises(TypeError):
            change()
    assert secret.reveal() == "a"


@given(st.text(st.characters()) | st.binary())
def test_reveals_what_went_in(value: str | bytes) -> None:
    assert Secret(value).reveal() == value  # type: ignore[type-var]


@given(st.text(st.characters(), max_size=3), st.text(st.characters(), max_size=3))
def test_is_equal_where_the_values_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert (Secret(one) != Secret(other)) == (one != other)


def test_is_equal_to_nothing_but_a_secret_of_its_type() -> None:
    assert Secret("a") != Secret(b"a")
    assert Secret("a") != "a"
    assert Secret("\ud800") == Secret("\ud800")
