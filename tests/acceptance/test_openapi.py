"""Requests that the OpenAPI document allows, and many that it forbids, at the endpoint on a real socket.

schemathesis makes them and holds each answer against the document. Here they are signed, and given what no generator
can know: a visit that is open, a code that is right, a quote and an order that are there. What was made wrong on
purpose stays wrong.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase
from schemathesis.core.parameters import ParameterLocation

from tests.ussd_server.http.endpoint import CODE, NOW, Endpoint, Prepared, Said
from ussd_server.http.openapi import document
from ussd_server.http.operations import OPERATIONS
from ussd_server.stores.base import Change
from ussd_server.subscribers import visits
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.signatures import sign_request

T = TypeVar("T")

WAIT_S = 30.0
OFFERINGS = {"change_tariff": "maxi", "add_service": "beep", "remove_service": "beep"}

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        # The signature is made here, of the request as it goes out.
        "generation": {"deterministic": True, "with-security-parameters": False},
    }
)
SCHEMA = schemathesis.openapi.from_dict(deepcopy(document()), config=CONFIG)  # it adds links of its own
BOUNDED = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class World:
    """The endpoint, served by a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._endpoint = Endpoint(directory)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._names = count(1)
        self.statuses: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def __enter__(self) -> "World":
        self._thread.start()
        self._run(self._endpoint.__aenter__())
        hall = self._endpoint.hall
        self._run(self._endpoint.add(hall, wrong_an_hour=100_000, orders_an_hour=100_000))
        self.url = self._endpoint.url
        self.msisdn = self._run(self._endpoint.number())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._endpoint.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def name(self) -> str:
        """Return an Idempotency-Key or a nonce that was not used yet."""
        return f"generated-{next(self._names)}"

    def is_visit(self, token: str) -> bool:
        """Return whether the server made this token."""
        return self._endpoint.vault.open_token(token) is not None

    def visit(self) -> str:
        """Return the token of a visit of a number that has no other."""
        number = int(self.name().rpartition("-")[2])
        msisdn, id = f"7920{number:07}", f"visit-{number}"
        record = Subscriber(msisdn, activated_at=NOW, visit=visits.open(id, "hall", "", NOW))
        assert self._run(self._endpoint.store.commit(Change(0, record)))
        return self._endpoint.vault.seal_token(msisdn, id)

    def post(self, visit: str, what: str, content: object) -> dict[str, Any]:
        """Ask for something in a visit that will be done."""
        said: Said = self._run(self._endpoint.hall.post(f"/v1/visits/{visit}/{what}", content))
        assert said.status in (200, 201, 202), said
        return said.content

    def quote(self, visit: str) -> str:
        """Return the id of a quote of this visit."""
        return str(self.post(visit, "quotes", {"change": "change_tariff", "offering": "maxi"})["id"])

    def entry(self, msisdn: str, key: str) -> dict[str, Any]:
        """Return the right code, sealed for this request."""
        sealed: dict[str, Any] = self._endpoint.hall.entry(msisdn, CODE, key)["entry"]
        return sealed

    def sign(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """Return the headers with a terminal's signature."""
        return sign_request(method, url, headers, body, self._endpoint.hall.signer, NOW, self.name())

    def answered(self, case: schemathesis.Case, response: schemathesis.Response) -> None:
        """Note an answer, once it is known to be the server's and to this request.

        Where the headers are wrong there may be none that a signature can cover.
        """
        self.statuses[operation_of(case)][response.status_code] += 1
        if made_wrong(case):
            return
        headers = {name: value for name, (value, *_) in response.headers.items()}
        said = Said(response.status_code, headers, response.content)
        sent = response.request
        path = (sent.url or "").removeprefix(self.url)
        prepared = Prepared(sent.method or "", path, {**sent.headers}, b"")
        self._endpoint.believed(said, prepared)


class Signing(AuthBase):
    """Signs a request as it goes out, with a new Idempotency-Key; the headers `kept` stay as they were made."""

    def __init__(self, world: World, kept: set[str], key: str) -> None:
        self._world = world
        self._kept = kept
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Replace what is not kept."""
        made = {
            name: request.headers.pop(name, None) for name in ("Idempotency-Key", "Content-Digest", "Signature-Input")
        }
        headers = {"Idempotency-Key": self._key} if request.method == "POST" else {}
        body = request.body or b""
        octets = body.encode() if isinstance(body, str) else body
        assert request.method is not None
        assert request.url is not None
        request.headers.update(self._world.sign(request.method, request.url, headers, octets))
        for name in self._kept & made.keys():
            request.headers.pop(name, None)
            if made[name] is not None:
                request.headers[name] = made[name]
        return request


def operation_of(case: schemathesis.Case) -> str:
    """Return the id of the operation that a request is made for."""
    return str(case.operation.definition.raw["operationId"])


def made_wrong(case: schemathesis.Case) -> set[str]:
    """Return which headers of a request are wrong on purpose."""
    if case.meta is None or not case.meta.is_negative_at(ParameterLocation.HEADER):
        return set()
    data = case.meta.phase.data
    named = {data.parameter} | {
        each.parameter for each in data.mutations if each.parameter_location == ParameterLocation.HEADER
    }
    return {name for name in named if name} or {"Idempotency-Key", "Content-Digest", "Signature-Input"}


def prepare(world: World, case: schemathesis.Case) -> Signing:
    """Put into a request what is there, where nothing else was wanted, and return what signs it."""
    key, kept, operation = world.name(), made_wrong(case), operation_of(case)

    def right(place: ParameterLocation) -> bool:
        return case.meta is None or not case.meta.is_negative_at(place)

    visit = case.path_parameters.get("visit")
    if visit is not None and right(ParameterLocation.PATH) and not world.is_visit(visit):
        visit = case.path_parameters["visit"] = world.visit()
        if operation == "order_state":
            placed = world.post(visit, "orders", {"quote": world.quote(visit)})
            case.path_parameters["order"] = placed["order"]
        if isinstance(case.body, dict) and right(ParameterLocation.BODY):
            if operation == "enter":
                case.body = {**case.body, "screen": world.post(visit, "begin", {})["screen"]["id"]}
            if operation == "place_order":
                case.body = {"quote": world.quote(visit)}
    if isinstance(case.body, dict) and right(ParameterLocation.BODY):
        if operation == "enter":
            # JSON Schema takes 3.0 for an integer, which no client writes, and the endpoint does not.
            case.body = {**case.body, "screen": int(case.body["screen"])}
        if "msisdn" in case.body:
            case.body = {**case.body, "msisdn": world.msisdn}
        if operation == "open_visit":
            case.body = {**case.body, "entry": world.entry(world.msisdn, key)}
        if operation == "quote":
            case.body = {**case.body, "offering": OFFERINGS[case.body["change"]]}
    return Signing(world, kept, key)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("data")) as world:
        yield world
        for name, statuses in sorted(world.statuses.items()):
            print(name, dict(sorted(statuses.items())))


@SCHEMA.parametrize()
@BOUNDED
def test_answers_what_the_document_says(world: World, case: schemathesis.Case) -> None:
    signing = prepare(world, case)
    response = case.call_and_validate(base_url=world.url, auth=signing)
    world.answered(case, response)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_carries_out_what_is_right(world: World, operation: Any) -> None:
    """What the test above sent was not refused throughout."""
    if operation.name not in world.statuses:
        pytest.skip("another process asks this")
    assert world.statuses[operation.name][operation.status]


def test_leads_where_its_links_say(tmp_path: Path) -> None:
    """A visit, a quote, an order: each is there for what follows, and a visit that was closed is no more."""
    told: dict[str, set[int]] = defaultdict(set)
    # Where people go follows from the answers, and these from what was asked before: of its own server, nothing was.
    with World(tmp_path) as world:

        class Person(SCHEMA.as_state_machine()):  # type: ignore[misc]
            def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
                return {"base_url": world.url, "auth": prepare(world, case)}

            def after_call(self, response: schemathesis.Response, case: schemathesis.Case) -> None:
                super().after_call(response, case)
                world.answered(case, response)
                if case._override.path_parameters:
                    told[operation_of(case)].add(response.status_code)

        Person.run(settings=settings(BOUNDED, max_examples=20, stateful_step_count=8))
    assert told.keys() >= {each.name for each in OPERATIONS if "{visit}" in each.path}
    assert 202 in told["place_order"]
    assert 200 in told["order_state"]
