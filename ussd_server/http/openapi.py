"""The OpenAPI 3.1 document of the terminals' endpoint, made from what serves it: the table of operations, the types of
the messages, the table of problems. So it cannot say anything else than the server does.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Any, Final, TypeAlias

import msgspec

from ussd_server.http.guard import BODY_S, MAX_BODY, MAX_KEY
from ussd_server.http.operations import OPERATIONS, TOKEN, Operation
from ussd_server.terminals import messages
from ussd_server.terminals.problems import CONTENT_TYPE, TYPES, ProblemType
from ussd_server.terminals.signatures import (
    ANSWERED,
    MAX_AGE_S,
    MAX_AHEAD_S,
    NONCE_KEPT_S,
    REQUEST_COMPONENTS,
    RESPONSE_COMPONENTS,
)

Schema: TypeAlias = dict[str, Any]

JSON: Final = "application/json"
_COMPONENTS: Final = "#/components/schemas/"

ABOUT: Final = f"""\
What payment terminals ask of the server: an access code for a subscriber's number, a visit opened with it, and in the
visit the service's screens, or balance, offerings, prices and orders at once.

**Signatures.** Every request but `GET /v1/keys` is signed, and so is every answer to a request: HTTP message signatures
(RFC 9421), Ed25519, see the security schemes.

**Repetition.** Every POST has an `Idempotency-Key`, new for each action. The same request under the same key, signed
anew, is answered with what it was answered the first time, for 24 hours, and does nothing again.

**Problems.** A refusal is a problem (RFC 9457), `{CONTENT_TYPE}`; decide by its `type`, which the server explains where
it points. Where there is a `Retry-After`, the same request with the same key may be sent again after so many seconds.
What cannot be read as HTTP (a broken request line, field or length, a head that is too long) is answered with
`{TYPES["unreadable-request"].status}` and the problem `unreadable-request`, and the connection is closed. As there was
no request that the answer could be bound to, it is the one answer under `/v1` that is not signed: take it for none.

**Limits.** A body has up to {MAX_BODY // 1024} KiB of JSON, in one piece within {BODY_S:.0f} seconds. Fields and query
parameters that are not named here are refused in requests; in answers there may be more one day.
"""

SIGNATURE: Final = f"""\
One Ed25519 signature (RFC 9421, section 3.3.6) by a key of the terminal. It covers those of
{", ".join(f"`{name}`" for name in REQUEST_COMPONENTS)} that the request has (a body has a `Content-Digest` by sha-256,
RFC 9530), and may cover other header fields. Parameters: `created`, at most {MAX_AGE_S} seconds old and
{MAX_AHEAD_S} ahead; `keyid`, TERMINAL/KEY as they are registered; `nonce`, which this terminal has used for no other
request in {NONCE_KEPT_S} seconds; `alg` may be left out.

An answer is signed by the server's current key, that to `GET /v1/keys` by each of its keys. It covers those of
{", ".join(f"`{name}`" for name in RESPONSE_COMPONENTS)} that it has and, of the request,
those of {", ".join(f'`"{name}";req`' for name in ANSWERED)} that this has.
"""

SIGNATURE_INPUT: Final = "What `Signature` covers, and its parameters, in canonical form (RFC 8941, section 4.1)."

HEADERS: Final[Mapping[str, tuple[Schema, str]]] = {
    "Signature-Input": (
        {"type": "string", "pattern": r'^[a-z*][a-z0-9_.*-]*=\("[ -~]+"\);[ -~]+$'},
        'sig1=("@method" "@authority" "@target-uri");created=1763881200;keyid="hall-1/5f0c9a1e";nonce="mPl0nxJmKkSX"',
    ),
    "Content-Digest": (
        {"type": "string", "pattern": "sha-256=:[A-Za-z0-9+/]{43}=:"},
        "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:",
    ),
    "Idempotency-Key": (
        {"type": "string", "maxLength": MAX_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "O6rNJ1lU2t0JXf6k",
    ),
}
"""What stands in the header fields of a request, and an example."""

MEMBERS: Final[Mapping[str, Mapping[str, Schema]]] = {
    "code-rejected": {"attempts_left": {"type": "integer", "minimum": 0, "description": "Tries until access closes"}},
    "access-locked": {"locked_until": {"type": "integer", "description": "When access opens, ms since 1970 UTC"}},
    "insufficient-funds": {
        "price": {"type": "integer", "description": "In minor units"},
        "balance": {"type": "integer", "description": "In minor units"},
        "currency": {"type": "string"},
    },
}
"""What some problems tell beside the members that all have."""
NOWHERE: Final = ("not-found", "method-not-allowed")
"""Problems of what is no operation: a path's segment that cannot be one, another method."""
_WAITS: Final = frozenset({"access-locked"})
"""Problems that say by Retry-After when it may be asked anew, though not with the same request."""

EXAMPLES: Final[Mapping[type, Schema]] = {
    type(example): msgspec.to_builtins(example)
    for example in (
        messages.OrderCode("79100000001"),
        messages.OpenVisit("79100000001", messages.SealedEntry("transport-5f0c9a1e", "bm90IGEgcmVhbCBib3g="), "ru"),
        messages.Begin("en"),
        messages.Input(3, "1"),
        messages.AskQuote("change_tariff", "start"),
        messages.PlaceOrder("5f0c9a1e-4"),
    )
}
"""A request of each kind."""

_VISIT: Final = {"visit": "$response.body#/visit"}
_SAME_VISIT: Final = {"visit": "$request.path.visit"}
_ORDER_STATE: Final = {
    "operationId": "order_state",
    "parameters": {**_SAME_VISIT, "order": "$response.body#/order"},
}
LINKS: Final[Mapping[str, Mapping[str, Schema]]] = {
    "open_visit": {
        each.name: {"operationId": each.name, "parameters": _VISIT}
        for each in OPERATIONS
        if "{visit}" in each.path and "{order}" not in each.path
    },
    "quote": {
        "place_order": {
            "operationId": "place_order",
            "parameters": _SAME_VISIT,
            "requestBody": {"quote": "$response.body#/id"},
        }
    },
    "enter": {"order_state": _ORDER_STATE},
    "place_order": {"order_state": _ORDER_STATE},
}
"""Where the answer to an operation leads."""


@cache
def document() -> Schema:
    """Return the document."""
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Terminals", "version": "1", "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"signature": []}],
        "paths": paths,
        "components": {
            "schemas": {**_messages(), "Problem": _problem()},
            "securitySchemes": {
                "signature": {"type": "apiKey", "in": "header", "name": "Signature", "description": SIGNATURE}
            },
        },
    }


def _operation(operation: Operation) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": dict(_responses(operation)),
    }
    if not operation.signed:
        described["security"] = []
    if operation.asks is not None:
        described["requestBody"] = {"required": True, "content": {JSON: _content(operation.asks)}}
    return described


def _parameters(operation: Operation) -> Iterable[Schema]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield _parameter("path", name, "As it was told", {"type": "string", "pattern": f"^{TOKEN}$"})
    if operation.kind:
        yield _parameter("query", "kind", "Which offerings", msgspec.json.schema(messages.OfferingKind))
    if operation.signed:
        yield _header("Signature-Input", SIGNATURE_INPUT)
    if operation.method == "POST":
        yield _header("Idempotency-Key", "New for each action, the same for each try of it")
        yield _header("Content-Digest", "The body's, by sha-256 (RFC 9530)")


def _header(name: str, about: str) -> Schema:
    schema, example = HEADERS[name]
    return {**_parameter("header", name, about, schema), "example": example}


def _parameter(place: str, name: str, about: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": True, "description": about, "schema": schema}


def _responses(operation: Operation) -> Iterable[tuple[str, Schema]]:
    done: Schema = {"description": "Done", "headers": _headers(body=operation.tells is not None)}
    if operation.tells is not None:
        done["content"] = {JSON: _content(operation.tells)}
    if operation.name in LINKS:
        done["links"] = LINKS[operation.name]
    yield str(operation.status), done
    kinds = sorted((TYPES[name] for name in (*operation.problems, *NOWHERE)), key=lambda kind: kind.status)
    for status, of_status in groupby(kinds, lambda kind: kind.status):
        yield str(status), _refusal(status, list(of_status))


def _refusal(status: int, kinds: list[ProblemType]) -> Schema:
    headers = _headers(body=True)
    if any(kind.again or kind.name in _WAITS for kind in kinds):
        headers["Retry-After"] = {
            "description": "Seconds after which the same request may be sent again",
            "required": all(kind.again or kind.name in _WAITS for kind in kinds),
            "schema": {"type": "integer", "minimum": 1},
        }
    if status == 401:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"const": "Signature"}}
    if status == 405:
        headers["Allow"] = {"required": True, "schema": {"type": "string"}}
    members = {name: schema for kind in kinds for name, schema in MEMBERS.get(kind.name, {}).items()}
    narrowed = {"type": {"enum": [kind.uri for kind in kinds]}, "status": {"const": status}, **members}
    return {
        "description": "\n".join(f"- `{kind.name}`: {kind.title}. {kind.mend}" for kind in kinds),
        "headers": headers,
        "content": {CONTENT_TYPE: {"schema": {"allOf": [{"$ref": f"{_COMPONENTS}Problem"}, {"properties": narrowed}]}}},
    }


def _headers(*, body: bool) -> Schema:
    names = ["Signature", "Signature-Input", *(["Content-Digest"] if body else [])]
    return {
        **{name: {"required": True, "schema": {"type": "string"}} for name in names},
        "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    }


def _content(kind: type[Any]) -> Schema:
    content: Schema = {"schema": {"$ref": _COMPONENTS + kind.__name__}}
    if kind in EXAMPLES:
        content["example"] = EXAMPLES[kind]
    return content


def _messages() -> Schema:
    kinds = [kind for operation in OPERATIONS for kind in (operation.asks, operation.tells) if kind is not None]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_COMPONENTS + "{name}")
    for schema in schemas.values():
        schema["description"] = inspect.cleandoc(schema["description"])
    return dict(schemas)


def _problem() -> Schema:
    return {
        "title": "Problem",
        "description": "Why a request was refused (RFC 9457). `detail` is for people; its words may change.",
        "type": "object",
        "properties": {
            "type": {"enum": [kind.uri for kind in TYPES.values()]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status"],
    }
