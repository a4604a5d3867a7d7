"""What schemathesis loads to be a terminal: it signs what is sent, and holds every answer to the server's signature.

Requests that the document allows are led to where something happens: an entry is really sealed, a visit is one that
is open, an offering one that there is. Whatever was spoilt on purpose is sent as it is; what was left out stays out.
"""

import base64
import json
import os
import random
import re
import time
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import nacl.utils
import requests
import schemathesis
from requests.auth import AuthBase

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import credentials, messages
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Asked, Signed, Signer, sign_request, verify_response

HERE = credentials.load(Path(os.environ["TERMINAL_FILE"]))
URL = os.environ["TERMINAL_URL"]
MSISDN, CODE = os.environ["TERMINAL_MSISDN"], Secret(os.environ["TERMINAL_CODE"])
ANOTHER = os.environ["TERMINAL_ANOTHER_MSISDN"]
"""Codes are ordered for this one: a new code would make the first one's wrong."""

SIGNER = Signer(f"{HERE.terminal}/{HERE.key}", HERE.private)
TRANSPORT = next(
    key
    for key in msgspec.json.decode(
        requests.get(f"{URL}/v1/keys", timeout=20).content, type=messages.ServerKeys
    ).transport
)
KEY = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")
DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")
INPUT = re.compile(r'[a-z*][a-z0-9_.*-]*=\("[ -~]+"\);[ -~]+')
"""What the document says of these header fields: where a value fits, the right one is put in its place."""

numbers = count(1)
chance = random.Random(1)


def now() -> int:
    return time.time_ns() // 1_000_000


class Known:
    """What earlier answers have told, so that later requests can ask for it."""

    def __init__(self) -> None:
        self.visit = self.quote = self.order = ""
        self.screen: dict[str, Any] | None = None
        self.offerings: list[str] = []

    def learn(self, content: dict[str, Any]) -> None:
        """Take from an answer what may be asked for."""
        self.visit = content.get("visit", self.visit)
        self.order = content.get("order", self.order)
        self.screen = content.get("screen", self.screen)
        if "balance_after" in content:
            self.quote = content["id"]
        self.offerings = [each["id"] for each in content.get("offerings", [])] or self.offerings


known = Known()


class Terminal(AuthBase):
    """Signs a request as it is about to be sent, where it says that it is signed."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        headers = {name: _text(value) for name, value in request.headers.items()}
        named = {name.lower(): name for name in headers}
        if "signature-input" not in named or not INPUT.fullmatch(headers[named["signature-input"]]):
            return request
        if "idempotency-key" in named and KEY.fullmatch(headers[named["idempotency-key"]]):
            headers[named["idempotency-key"]] = f"request {next(numbers)}"
        assert request.url is not None
        assert request.method is not None
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        body = led(urlsplit(request.url).path, body, headers.get(named.get("idempotency-key", ""), ""))
        digested = body
        if "content-digest" in named and DIGEST.search(headers[named["content-digest"]]):
            del headers[named["content-digest"]]
        elif request.method == "POST":
            digested = b""  # it was left out or spoilt, and is signed like that
        for name in ("signature", "signature-input", "content-length"):
            if name in named:
                del headers[named[name]]
        nonce = nacl.utils.random(12).hex()
        try:
            headers = sign_request(request.method, request.url, headers, digested, SIGNER, now(), nonce)
        except ValueError:
            return request  # what no terminal could sign
        request.headers.clear()
        request.headers.update(headers)
        if body:
            request.body = body
            request.headers["Content-Length"] = str(len(body))
        return request


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def led(path: str, body: bytes, key: str) -> bytes:
    """Return a message that is right led to where something happens, any other as it is."""
    message: msgspec.Struct
    match path.removeprefix("/v1/").split("/"):
        case ["visits"] if KEY.fullmatch(key) and (asked := _read(body, messages.OpenVisit)) is not None:
            entry = Entry(MSISDN, CODE, HERE.terminal, key, now(), nacl.utils.random(8).hex())
            box = seal(entry, _octets(TRANSPORT.public))
            sealed = messages.SealedEntry(TRANSPORT.id, box)
            message = messages.OpenVisit(MSISDN, sealed, asked.language)
        case ["code-orders"] if _read(body, messages.OrderCode) is not None:
            message = messages.OrderCode(ANOTHER)
        case ["visits", _, "inputs"] if (asked := _read(body, messages.Input)) is not None:
            message = asked
            if known.screen and often():
                keys = [each["key"] for each in (*known.screen["options"], *known.screen["navigation"])]
                message = messages.Input(known.screen["id"], chance.choice(keys) if keys and often() else asked.text)
        case ["visits", _, "quotes"] if (
            (asked := _read(body, messages.AskQuote)) is not None and known.offerings and often()
        ):
            message = messages.AskQuote(asked.change, chance.choice(known.offerings))
        case ["visits", _, "orders"] if _read(body, messages.PlaceOrder) is not None and known.quote and often():
            message = messages.PlaceOrder(known.quote)
        case _:
            return body
    return msgspec.json.encode(message)


def _octets(text: str) -> bytes:
    return base64.b64decode(text)


def _read(body: bytes, kind: type[Any]) -> Any:
    """Return the message, None where it is none. 3.0 is an integer to JSON Schema, and no terminal writes one so."""
    try:
        return msgspec.convert(json.loads(body, parse_float=_number), type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def often() -> bool:
    """Return True three times of four."""
    return chance.random() < 0.75


schemathesis.auth.set_from_requests(Terminal())


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put a visit that is open into a path that has any."""
    if case.meta is not None and not case.meta.generation.mode.is_negative and "visit" in case.path_parameters:
        if known.visit and often():
            case.path_parameters["visit"] = known.visit
        if known.order and "order" in case.path_parameters and often():
            case.path_parameters["order"] = known.order


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Learn from what was done."""
    if 200 <= response.status_code < 300 and response.content:
        known.learn(json.loads(response.content))


@schemathesis.check
def signed_by_the_server(ctx: Any, response: Any, case: Any) -> None:
    """Every answer is the server's own, to this very request."""
    headers = {name: values[0] for name, values in response.headers.items()}
    lines = {name: _text(value).strip(" \t") for name, value in response.request.headers.items()}
    # What no signature can cover no terminal sends.
    request = {name: value for name, value in lines.items() if value.isascii() and value.isprintable()}
    asked = Asked(response.request.method, response.request.url, request)
    signed = verify_response(response.status_code, headers, response.content, asked, HERE.signing.get, now())
    assert isinstance(signed, Signed), signed
