"""The OpenAPI document says what is served: no route, no message, no problem more or less."""

import asyncio
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ussd_server.http.openapi import EXAMPLES, document
from ussd_server.http.operations import OPERATIONS, Operation
from ussd_server.http.terminals import Terminals
from ussd_server.terminals.messages import Ask
from ussd_server.terminals.problems import TYPES

DOCUMENT = document()
NOWHERE = {"not-found", "method-not-allowed"}
"""Problems of what is no operation."""
UNREAD = {"unreadable-request"}
"""Problems of what is no request: unsigned, so no answer of an operation."""
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def problems_of(response: dict[str, Any]) -> set[str]:
    _, narrowed = response["content"]["application/problem+json"]["schema"]["allOf"]
    return {uri.removeprefix("/problems/") for uri in narrowed["properties"]["type"]["enum"]}


def parameters(operation: Operation, place: str) -> set[str]:
    return {one["name"] for one in described(operation)["parameters"] if one["in"] == place and one["required"]}


def terminals() -> web.Application:
    app = web.Application()
    Terminals(lambda: 0).add_to(app)
    return app


def test_is_openapi_3_1() -> None:
    assert schemathesis.openapi.from_dict(DOCUMENT).specification.version.startswith("3.1")
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_a_document_that_is_none_would_be_found() -> None:
    broken = {**DOCUMENT, "paths": {"/v1": {"get": {"responses": 200}}}}
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(broken).validate()


def test_names_exactly_the_routes_that_are_served() -> None:
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in terminals().router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/v1")
    }
    assert served == {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_is_served() -> None:
    async def ask() -> tuple[int, str, bytes]:
        async with TestClient(TestServer(terminals())) as client, client.get("/openapi.json") as answer:
            return answer.status, answer.content_type, await answer.read()

    status, kind, body = asyncio.run(ask())
    assert (status, kind, msgspec.json.decode(body)) == (200, "application/json", DOCUMENT)


def test_every_problem_is_described() -> None:
    named = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert set(named) == {kind.uri for kind in TYPES.values()}
    assert {name for operation in OPERATIONS for name in operation.problems} | NOWHERE | UNREAD == TYPES.keys()


@EACH
def test_every_answer_is_described_under_its_status(operation: Operation) -> None:
    responses = described(operation)["responses"]
    refusals = {status: problems_of(one) for status, one in responses.items() if status >= "4"}
    assert set().union(*refusals.values()) == {*operation.problems, *NOWHERE}
    assert all(str(TYPES[name].status) == status for status, names in refusals.items() for name in names)
    assert responses.keys() - refusals.keys() == {str(operation.status)}
    for status, names in refusals.items():
        if any(TYPES[name].again for name in names):
            assert "Retry-After" in responses[status]["headers"]


@EACH
def test_what_must_be_sent_is_described(operation: Operation) -> None:
    assert parameters(operation, "path") == {word.strip("{}") for word in operation.path.split("/") if "{" in word}
    assert parameters(operation, "query") == ({"kind"} if operation.kind else set())
    posted = {"Idempotency-Key", "Content-Digest"} if operation.method == "POST" else set()
    assert parameters(operation, "header") == ({"Signature-Input"} if operation.signed else set()) | posted
    assert described(operation).get("security", DOCUMENT["security"]) == (
        [{"signature": []}] if operation.signed else []
    )
    assert ("requestBody" in described(operation)) == (operation.asks is not None)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_only_requests_are_closed(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    asked = {each.__name__ for each in Ask.__subclasses__()}
    assert (schema.get("additionalProperties") is False) == (name in asked)


def test_examples_are_what_they_are_examples_of() -> None:
    assert EXAMPLES.keys() >= {operation.asks for operation in OPERATIONS if operation.asks is not None}
    for kind, example in EXAMPLES.items():
        assert msgspec.to_builtins(msgspec.convert(example, type=kind)).items() >= example.items()


def test_links_lead_to_what_takes_them() -> None:
    by_name = {operation.name: operation for operation in OPERATIONS}
    links = {
        operation.name: described(operation)["responses"][str(operation.status)].get("links", {})
        for operation in OPERATIONS
    }
    assert links["open_visit"].keys() == {one.name for one in OPERATIONS if "{visit}" in one.path} - {"order_state"}
    assert (links["quote"].keys(), links["place_order"].keys()) == ({"place_order"}, {"order_state"})
    assert links["enter"].keys() == {"order_state"}
    for found in links.values():
        for link in found.values():
            assert link["parameters"].keys() == parameters(by_name[link["operationId"]], "path"), link
