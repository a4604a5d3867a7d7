"""Whatever is no message of an operation is refused with a documented problem, and does nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ussd_server.http.endpoint import CODE, Endpoint, visit
from tests.ussd_server.http.terminals.asked import ORDERS, VISITS

NO_MESSAGES: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"msisdn=79100200500",
    "cut off": b'{"msisdn": "79100200500"',
    "two": b'{"msisdn": "79100200500"}{}',
    "a list": b'["79100200500"]',
    "null": b"null",
    "a number": b'{"msisdn": 79100200500}',
    "a missing field": b"{}",
    "an unknown field": b'{"msisdn": "79100200500", "terminal": "hall"}',
    "too short": b'{"msisdn": "7910"}',
    "as dialled at home": b'{"msisdn": "89100200500"}',
    "national": b'{"msisdn": "9100200500"}',
    "with a plus": b'{"msisdn": "+79100200500"}',
    "no number": b'{"msisdn": "79100200500\\n"}',
    "other digits": '{"msisdn": "７９１００２００５００"}'.encode(),
    "no UTF-8": b'{"msisdn": "7910020050\xff"}',
    "UTF-16": '{"msisdn": "79100200500"}'.encode("utf-16"),
    "deep": b"[" * 8000,
    "deep in a field": b'{"x":' * 2000,
}


@pytest.mark.parametrize("body", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
def test_no_message(tmp_path: Path, body: bytes) -> None:
    async def story(at: Endpoint) -> None:
        prepared = at.hall.prepare("POST", ORDERS, body).but(Content_Type="application/json")
        (await at.send(prepared)).refused("invalid-request")
        assert await at.store.next_due() is None

    visit(tmp_path, story)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_content_type(tmp_path: Path, kind: str) -> None:
    async def story(at: Endpoint) -> None:
        prepared = at.hall.prepare("POST", ORDERS, {"msisdn": "79100200500"}, kind=kind)
        (await at.send(prepared)).refused("unsupported-media-type")
        assert await at.store.next_due() is None

    visit(tmp_path, story)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_spellings_of_the_content_type(tmp_path: Path, kind: str) -> None:
    async def story(at: Endpoint) -> None:
        (await at.send(at.hall.prepare("POST", ORDERS, {"msisdn": "79100200500"}, kind=kind))).ok(202)

    visit(tmp_path, story)


WRONG_TYPES: list[tuple[str, Any]] = [
    ("begin", {"language": "fr"}),
    ("begin", {"language": 1}),
    ("inputs", {"screen": "1", "text": "1"}),
    ("inputs", {"screen": 1.5, "text": "1"}),
    ("inputs", {"screen": -1, "text": "1"}),
    ("inputs", {"screen": 1, "text": "x" * 161}),
    ("inputs", {"screen": 1, "text": "1", "more": 1}),
    ("quotes", {"change": "give_away", "offering": "x"}),
    ("quotes", {"change": "add_service", "offering": ""}),
    ("quotes", {"change": "add_service", "offering": ["x"]}),
    ("orders", {"quote": None}),
    ("orders", {"quote": "x" * 65}),
]


def test_wrong_types_everywhere(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)
        for route, content in WRONG_TYPES:
            (await at.hall.post(f"{inside}/{route}", content)).refused("invalid-request")
        for query in ("", "?kind=price", "?kind=tariff&kind=service", "?kind=tariff&x=1"):
            (await at.hall.get(f"{inside}/offerings{query}")).refused("invalid-request")
        assert await at.record(msisdn) == before

    visit(tmp_path, story)


def test_a_secret_in_a_wrong_place_is_not_said_back(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        for content in ({CODE: 1}, {"msisdn": CODE}, {"msisdn": "79100200500", "entry": CODE}, {"language": CODE}):
            for path in (ORDERS, VISITS, f"{VISITS}/x/begin"):
                assert CODE.encode() not in (await at.hall.post(path, content)).body

    visit(tmp_path, story)


def test_what_is_not_there(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        (await at.hall.get("/v1/nothing")).refused("not-found")
        (await at.hall.get("/v1/visits/a/b/c")).refused("not-found")
        said = await at.hall.get(ORDERS)
        said.refused("method-not-allowed")
        assert said.headers["Allow"] == "POST"

    visit(tmp_path, story)


def test_before_the_server_has_started(tmp_path: Path) -> None:
    """It has no keys yet, so what it says is not signed and cannot be believed; it says nothing but "later"."""

    async def story(at: Endpoint) -> None:
        at.believed = lambda said, request: said  # type: ignore[method-assign]
        (await at.hall.post(ORDERS, {"msisdn": "79100200500"})).refused("unavailable")
        said = await at.hall.get("/v1/keys")
        said.refused("unavailable")
        assert "Signature" not in said.headers

    visit(tmp_path, story, serving=False)


def test_each_problem_is_explained_where_its_type_points(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        at.believed = lambda said, request: said  # type: ignore[method-assign]  # an explanation needs no signature
        refused = json.loads((await at.hall.get("/v1/nothing")).body)
        said = await at.hall.get(refused["type"])
        assert said.status == 200
        assert refused["title"].encode() in said.body
        assert (await at.hall.get("/problems/none")).status == 404

    visit(tmp_path, story)
