"""The endpoint over real HTTP: bad messages, entries and visits, repetition, and a store or an operator that goes away.

Whatever is refused has a documented problem, leaves nothing half done and says no secret.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey

from tests.ussd_server.http.endpoint import CODE, NOW, RICH, WRONG, Endpoint, Machine, Prepared, Said, new_key, visit
from ussd_server.secrecy import keys
from ussd_server.secrecy.keys import Public
from ussd_server.subscribers.codes import LOCK_MS, RESERVATION_MS
from ussd_server.subscribers.visits import IDLE_MS
from ussd_server.terminals import desk, requests

ORDERS = "/v1/code-orders"
VISITS = "/v1/visits"


@pytest.fixture(autouse=True)
def no_secret_in_the_log(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does here, its codes are in no output."""
    yield
    written = "".join(capfd.readouterr()) + caplog.text
    assert CODE not in written
    assert WRONG not in written


# Messages ---------------------------------------------------------------------------------------------------------

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


# Entries ----------------------------------------------------------------------------------------------------------


async def untouched(at: Endpoint, msisdn: str) -> None:
    """Assert that no try was taken."""
    access = (await at.record(msisdn)).access
    assert (access.wrong, access.reservations, access.lapsed) == (0, (), ())
    assert await at.journal(msisdn) == []
    terminal, _ = await at.store.load_terminal("hall")
    assert terminal.wrong == ()


def test_sealed_to_an_unknown_key(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        octets = bytes(PrivateKey.generate().public_key)
        for id in ("transport-00000000", "", at.keys.current("kek").id, at.keys.current("signing").id):
            content = at.hall.entry(msisdn, CODE, key, to=Public(id, octets, True))
            (await at.hall.post(VISITS, content, key)).refused("transport-key-unknown")
        content = at.hall.entry(msisdn, CODE, key, to=Public(at.transport.id, octets, True))
        (await at.hall.post(VISITS, content, key)).refused("entry-unreadable")
        await untouched(at, msisdn)

    visit(tmp_path, story)


def test_sealed_to_an_old_key_until_it_is_retired(tmp_path: Path) -> None:
    """While old and new overlap both open; then the terminal is told to fetch the new one, and no try is taken."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        keys.change(at.keys.path, lambda ring: ring.rotate("transport", NOW))
        assert at.keys.refresh()
        (await at.hall.enter(await at.number(), CODE)).ok(201)
        keys.change(at.keys.path, lambda ring: ring.retire(at.transport.id))
        at.keys.refresh()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key), key)).refused("transport-key-unknown")
        await untouched(at, msisdn)
        told = (await at.hall.get("/v1/keys")).ok(200)["transport"]
        fresh = [Public(one["id"], base64.b64decode(one["public"]), True) for one in told]
        assert [one.id for one in fresh] == [at.keys.current("transport").id]
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, to=fresh[0]), key)).ok(201)

    visit(tmp_path, story)


@pytest.mark.parametrize("other", [{"msisdn": "79100200777"}, {"terminal": "yard"}, {"attempt": "another"}])
def test_inner_and_outer_fields_that_differ(tmp_path: Path, other: dict[str, Any]) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, **other), key)).refused("entry-mismatch")
        await untouched(at, msisdn)

    visit(tmp_path, story)


def test_an_entry_of_another_terminal(tmp_path: Path) -> None:
    """What was taken on its way at one terminal cannot be brought in by another."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        stolen = at.hall.entry(msisdn, CODE, key)
        (await at.yard.post(VISITS, stolen, key)).refused("entry-mismatch")
        await untouched(at, msisdn)

    visit(tmp_path, story)


@pytest.mark.parametrize(("age_ms", "taken"), [(60_000, True), (60_001, False), (-5_000, True), (-5_001, False)])
def test_an_entry_that_is_too_old_or_from_the_future(tmp_path: Path, age_ms: int, taken: bool) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        said = await at.hall.post(VISITS, at.hall.entry(msisdn, CODE, key, iat=at.now - age_ms), key)
        if taken:
            said.ok(201)
        else:
            said.refused("entry-late")
            await untouched(at, msisdn)

    visit(tmp_path, story)


def _spoilt_boxes(box: str) -> list[str]:
    return [box[:-4] + "AAAA", box[:-4], box + "AAAA", "", "!" * len(box), "ü" * len(box), box[4:] + box[:4]]


def test_a_box_that_was_altered(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, CODE, key)
        for box in _spoilt_boxes(content["entry"]["box"]):
            spoilt = {**content, "entry": {**content["entry"], "box": box}}
            (await at.hall.post(VISITS, spoilt, key)).refused("entry-unreadable")
        await untouched(at, msisdn)
        (await at.hall.post(VISITS, content, key)).ok(201)

    visit(tmp_path, story)


# Repetition -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_the_same_request_again_gets_the_same_answer_and_takes_no_try(tmp_path: Path, code: str) -> None:
    """Signed anew each time, as a client does that heard no answer."""

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, code, key)
        first = await at.hall.post(VISITS, content, key)
        assert first.status == (201 if code == CODE else 403)
        at.now += 50_000
        again = await at.hall.post(VISITS, content, key)
        resealed = await at.hall.post(VISITS, at.hall.entry(msisdn, code, key), key)
        at.now += 3_600_000  # the entry is long too old to be judged, its answer is known
        late = await at.hall.post(VISITS, content, key)
        assert [(one.status, one.body) for one in (again, resealed, late)] == [(first.status, first.body)] * 3
        assert (await at.record(msisdn)).access.wrong == (0 if code == CODE else 1)
        assert len(await at.journal(msisdn)) == 1
        terminal, _ = await at.store.load_terminal("hall")
        assert len(terminal.wrong) == (0 if code == CODE else 1)

    visit(tmp_path, story)


def test_the_same_key_for_another_entry(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, another, key = await at.number(), await at.number(), new_key()
        (await at.hall.post(VISITS, at.hall.entry(msisdn, WRONG, key), key)).refused("code-rejected")
        for content in (at.hall.entry(msisdn, CODE, key), at.hall.entry(another, WRONG, key)):
            (await at.hall.post(VISITS, content, key)).refused("idempotency-key-reused")
        (await at.hall.post(ORDERS, {"msisdn": msisdn}, key)).refused("idempotency-key-reused")
        assert (await at.record(msisdn)).access.wrong == 1
        await untouched_number(at, another)

    visit(tmp_path, story)


async def untouched_number(at: Endpoint, msisdn: str) -> None:
    """Assert that nothing happened to this number."""
    assert (await at.record(msisdn)).access.wrong == 0
    assert await at.journal(msisdn) == []


def test_the_same_key_for_another_request_of_a_visit(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        inside = await at.hall.visit(msisdn)
        first = await at.hall.post(f"{inside}/begin", {"language": "en"}, key)
        before = await at.record(msisdn)
        (await at.hall.post(f"{inside}/begin", {"language": "ru"}, key)).refused("idempotency-key-reused")
        (await at.hall.post(f"{inside}/quotes", {"change": "add_service", "offering": "x"}, key)).refused(
            "idempotency-key-reused"
        )
        assert await at.record(msisdn) == before
        assert (await at.hall.post(f"{inside}/begin", {"language": "en"}, key)).body == first.body

    visit(tmp_path, story)


def test_two_terminals_may_have_the_same_key(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        for machine in (at.hall, at.yard):
            (await machine.post(ORDERS, {"msisdn": "79100200500"}, "same")).ok(202)
        assert await at.work_left() == 2

    visit(tmp_path, story)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_of_one_entry_sent_many_times_at_once_one_try_is_taken(tmp_path: Path, code: str) -> None:
    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(), new_key()
        content = at.hall.entry(msisdn, code, key)
        said = await asyncio.gather(*(at.hall.post(VISITS, content, key) for _ in range(10)))
        answers = {one.body for one in said if one.status != 409}
        assert len(answers) == 1
        for one in said:
            if one.status == 409:
                one.refused("request-in-progress")
        assert (await at.hall.post(VISITS, content, key)).body in answers
        access = (await at.record(msisdn)).access
        assert (access.wrong, access.reservations) == (0 if code == CODE else 1, ())
        assert len(await at.journal(msisdn)) == 1

    visit(tmp_path, story)


def test_the_third_wrong_entry_locks_and_says_until_when(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        for left in (2, 1):
            assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == left
        for code in (WRONG, CODE, WRONG):
            said = await at.hall.enter(msisdn, code)
            assert said.refused("access-locked")["locked_until"] == NOW + LOCK_MS
            assert said.headers["Retry-After"] == str(LOCK_MS // 1000)
        assert (await at.journal(msisdn)).count("access locked") == 1

    visit(tmp_path, story)


# Visits -----------------------------------------------------------------------------------------------------------

IN_VISIT: list[tuple[str, str, Any]] = [
    ("POST", "/begin", {}),
    ("POST", "/inputs", {"screen": 1, "text": "1"}),
    ("GET", "/balance", None),
    ("GET", "/offerings?kind=tariff", None),
    ("GET", "/products", None),
    ("POST", "/quotes", {"change": "add_service", "offering": "x"}),
    ("POST", "/orders", {"quote": "x"}),
    ("GET", "/orders/x", None),
]


async def closed_to(at: Endpoint, machine: Machine, inside: str) -> list[tuple[int, bytes]]:
    """Assert that nothing can be done in this visit, and return what was said."""
    told = []
    for method, rest, content in IN_VISIT:
        said = await at.send(machine.prepare(method, inside + rest, content))
        said.refused("visit-unknown")
        told.append((said.status, said.body))
    return told


def test_visits_of_others_ended_ones_and_nonsense_look_the_same(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)
        token = inside.rpartition("/")[2]
        told = [await closed_to(at, at.yard, inside)]
        for nonsense in ("x", token[:-1], f"{token}A", token.swapcase(), "%00", "%C3%BC", "A" * 3000):
            told.append(await closed_to(at, at.hall, f"{VISITS}/{nonsense}"))
        assert await at.record(msisdn) == before, "what others did touched the visit"
        at.now += IDLE_MS - 1
        (await at.hall.get(f"{inside}/balance")).ok(200)
        at.now += 1
        told.append(await closed_to(at, at.hall, inside))
        assert all(one == told[0] for one in told)

    visit(tmp_path, story)


def test_a_visit_that_was_closed(tmp_path: Path) -> None:
    """Card-out by another terminal does nothing and does not say so; by its own it ends the visit, again and again."""

    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        assert (await at.send(at.yard.prepare("DELETE", inside))).status == 204
        (await at.hall.get(f"{inside}/balance")).ok(200)
        for _ in range(2):
            said = await at.send(at.hall.prepare("DELETE", inside))
            assert (said.status, said.body) == (204, b"")
        await closed_to(at, at.hall, inside)

    visit(tmp_path, story)


def test_a_second_visit_ends_the_first(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        first = await at.hall.visit(msisdn)
        second = await at.yard.visit(msisdn)
        await closed_to(at, at.hall, first)
        (await at.yard.get(f"{second}/balance")).ok(200)

    visit(tmp_path, story)


def test_an_input_for_a_screen_that_is_no_longer_on_show(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        screen = (await at.hall.post(f"{inside}/begin", {})).ok(200)["screen"]
        tap = {"screen": screen["id"], "text": screen["options"][0]["key"]}
        (await at.hall.post(f"{inside}/inputs", tap)).ok(200)
        before = await at.record(msisdn)
        (await at.hall.post(f"{inside}/inputs", tap)).refused("screen-changed")
        assert await at.record(msisdn) == before

    visit(tmp_path, story)


# A store that goes away -------------------------------------------------------------------------------------------

Fault = tuple[str, int, bool]
CALLS = ("load_terminal", "use_nonce", "load", "answer", "commit")


async def each_outage(at: Endpoint, code: str) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Enter a code again and again, and let each call that it makes fail in turn: not done, and done but not heard of.

    Gives the number, the Idempotency-Key and the message each time that an entry was interrupted.
    """
    await at.add(at.hall, wrong_an_hour=1000)
    interrupted: Counter[str] = Counter()
    for name, done in product(CALLS, (False, True)):
        for nth in count(1):
            msisdn, key = await at.number(), new_key()
            content = at.hall.entry(msisdn, code, key)
            at.store.fail(name, nth, done=done)
            said = await at.hall.post(VISITS, content, key)
            if not at.store.all_failed:
                at.store.well_again()
                break
            if said.status != 503:
                assert (name, code) == ("load_terminal", WRONG), "but for the terminal's own count an entry is whole"
                continue
            said.refused("unavailable")
            interrupted[name] += 1
            yield msisdn, key, content
    assert interrupted.keys() == set(CALLS)
    assert interrupted["commit"] == 4, "a try is reserved in one commit and settled in another"


async def ended(at: Endpoint, msisdn: str, said: Said, *, accepted: bool) -> None:
    """Assert that an entry has come to its one end, and that this was said."""
    access = (await at.record(msisdn)).access
    assert (access.wrong, access.reservations) == (0 if accepted else 1, ())
    assert await at.journal(msisdn) == ["access opened" if accepted else "code wrong"]
    if accepted:
        said.ok(201)
    else:
        assert said.refused("code-rejected")["attempts_left"] == 2


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_an_entry_while_the_store_goes_away(tmp_path: Path, code: str) -> None:
    """Wherever it went away, the same request brings the entry to its end: one try, one verdict, one answer.

    Only where the try was reserved and nobody knows the verdict must the terminal wait until it has lapsed.
    """

    async def story(at: Endpoint) -> None:
        async for msisdn, key, content in each_outage(at, code):
            taken = len((await at.record(msisdn)).access.reservations)
            accepted = code == CODE
            said = await at.hall.post(VISITS, content, key)
            if taken and said.status == 409:
                said.refused("request-in-progress")
                assert len((await at.record(msisdn)).access.reservations) == 1
                at.now += RESERVATION_MS
                said = await at.hall.post(VISITS, content, key)
                accepted = False
            await ended(at, msisdn, said, accepted=accepted)
            assert (await at.hall.post(VISITS, content, key)).body == said.body

    visit(tmp_path, story)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_an_entry_that_nobody_brings_to_its_end_is_a_wrong_one(tmp_path: Path, code: str) -> None:
    """A guess cannot be made free by breaking the store; whoever asks late learns that it counted, once."""

    async def story(at: Endpoint) -> None:
        lapsed = 0
        async for msisdn, key, content in each_outage(at, code):
            if not (await at.record(msisdn)).access.reservations:
                continue
            lapsed += 1
            at.now += RESERVATION_MS
            for _ in range(2):
                await ended(at, msisdn, await at.hall.post(VISITS, content, key), accepted=False)
            assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == 1
        assert lapsed > 1

    visit(tmp_path, story)


def test_a_wrong_entry_counts_where_the_terminals_record_cannot_be_written(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        at.store.fail("commit_terminal")
        assert (await at.hall.enter(msisdn, WRONG)).refused("code-rejected")["attempts_left"] == 2
        assert at.store.all_failed
        assert (await at.record(msisdn)).access.wrong == 1

    visit(tmp_path, story)


ORDER_FAULTS: list[Fault] = [
    ("load_terminal", 1, False),
    ("use_nonce", 1, False),
    ("use_nonce", 1, True),
    ("load", 1, False),
    ("answer", 1, False),
    ("commit_terminal", 1, False),
    ("commit", 1, False),
    ("commit", 1, True),
]


@pytest.mark.parametrize("fault", ORDER_FAULTS, ids=str)
def test_the_order_of_a_code_while_the_store_goes_away(tmp_path: Path, fault: Fault) -> None:
    name, nth, done = fault

    async def story(at: Endpoint) -> None:
        key = new_key()
        at.store.fail(name, nth, done=done)
        (await at.hall.post(ORDERS, {"msisdn": "79100200500"}, key)).refused("unavailable")
        assert at.store.all_failed
        for _ in range(2):
            (await at.hall.post(ORDERS, {"msisdn": "79100200500"}, key)).ok(202)
        assert await at.work_left() == 1

    visit(tmp_path, story)


VISIT_FAULTS: list[Fault] = [
    ("load_terminal", 1, False),
    ("use_nonce", 1, False),
    ("load", 1, False),
    ("answer", 1, False),
    ("commit", 1, False),
    ("commit", 1, True),
]


@pytest.mark.parametrize("fault", VISIT_FAULTS, ids=str)
def test_an_agreement_while_the_store_goes_away(tmp_path: Path, fault: Fault) -> None:
    """What a person agreed to is ordered once, and its terminal learns the order's id."""
    name, nth, done = fault

    async def story(at: Endpoint) -> None:
        msisdn, key = await at.number(RICH), new_key()
        inside = await at.hall.visit(msisdn)
        quote = (await at.hall.post(f"{inside}/quotes", await a_change(at, inside))).ok(201)
        at.store.fail(name, nth, done=done)
        (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]}, key)).refused("unavailable")
        assert at.store.all_failed
        assert len((await at.record(msisdn)).pending) == (1 if done else 0)
        placed = [(await at.hall.post(f"{inside}/orders", {"quote": quote["id"]}, key)).ok(202) for _ in range(2)]
        assert list((await at.record(msisdn)).pending) == [placed[0]["order"]]
        assert placed[0] == placed[1]
        state = (await at.hall.get(f"{inside}/orders/{placed[0]['order']}")).ok(200)
        assert state["status"] == "placed"
        (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]})).refused("quote-unknown")

    visit(tmp_path, story)


async def a_change(at: Endpoint, inside: str) -> dict[str, str]:
    """Return a change that this subscriber may have."""
    owned = (await at.hall.get(f"{inside}/products")).ok(200)["tariff"]["id"]
    offered = (await at.hall.get(f"{inside}/offerings?kind=tariff")).ok(200)["offerings"]
    return {"change": "change_tariff", "offering": next(one["id"] for one in offered if one["id"] != owned)}


def test_everything_while_the_store_is_down(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)
        at.store.down = True
        for method, rest, content in [*IN_VISIT, ("DELETE", "", None)]:
            (await at.send(at.hall.prepare(method, inside + rest, content))).refused("unavailable")
        (await at.hall.enter(msisdn, WRONG)).refused("unavailable")
        (await at.hall.get("/v1/keys")).ok(200)
        at.store.down = False
        assert await at.record(msisdn) == before

    visit(tmp_path, story)


# An operator that goes away ---------------------------------------------------------------------------------------

Break = Callable[[Endpoint], None]


def _refuses(at: Endpoint) -> None:
    at.operator.outage = "refuses"


def _loses_answers(at: Endpoint) -> None:
    at.operator.outage = "loses_answers"


def _hangs(at: Endpoint) -> None:
    at.operator.hold()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server wait hardly at all for the operator."""
    monkeypatch.setattr(desk, "DEADLINE_MS", 30)
    monkeypatch.setattr(requests, "DEADLINE_MS", 30)


@pytest.mark.parametrize("fault", [_refuses, _loses_answers, _hangs])
def test_the_shortcuts_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """Nothing is done, no quote is left behind, and the very same request gets its answer later."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        change, key = await a_change(at, inside), new_key()
        before = await at.record(msisdn)
        fault(at)
        for rest in ("balance", "products", "offerings?kind=service"):
            (await at.hall.get(f"{inside}/{rest}")).refused("unavailable")
        (await at.hall.post(f"{inside}/quotes", change, key)).refused("unavailable")
        assert await at.record(msisdn) == before
        at.operator.outage = ""
        at.operator.release()
        (await at.hall.post(f"{inside}/quotes", change, key)).ok(201)

    visit(tmp_path, story)


@pytest.mark.parametrize("fault", [_refuses, _loses_answers, _hangs])
def test_a_visit_opens_and_is_walked_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """A right code costs nothing because of it; a screen that needs the operator says that it comes by SMS."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        fault(at)
        inside = await at.hall.visit(msisdn)
        assert (await at.record(msisdn)).access.wrong == 0
        screen = (await at.hall.post(f"{inside}/begin", {"language": "en"})).ok(200)["screen"]
        for option in screen["options"]:
            shown = (await at.hall.post(f"{inside}/begin", {})).ok(200)["screen"]
            tap = {"screen": shown["id"], "text": option["key"]}
            (await at.hall.post(f"{inside}/inputs", tap)).ok(200)

    visit(tmp_path, story)


@pytest.mark.parametrize("fault", [_refuses, _hangs])
def test_an_order_is_taken_while_the_operator_is_away(tmp_path: Path, fault: Break, impatient: None) -> None:
    """It is kept and placed by the outbox, which goes on until the operator answers."""

    async def story(at: Endpoint) -> None:
        msisdn = await at.number(RICH)
        inside = await at.hall.visit(msisdn)
        quote = (await at.hall.post(f"{inside}/quotes", await a_change(at, inside))).ok(201)
        fault(at)
        placed = (await at.hall.post(f"{inside}/orders", {"quote": quote["id"]})).ok(202)
        assert list((await at.record(msisdn)).pending) == [placed["order"]]

    visit(tmp_path, story)


def test_an_operator_that_is_broken_is_our_failure_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(at: Endpoint) -> None:
        msisdn = await at.number()
        inside = await at.hall.visit(msisdn)
        before = await at.record(msisdn)

        def broken(*_: object) -> Awaitable[None]:
            raise RuntimeError(f"a bug, beside {CODE[:2]}...")

        monkeypatch.setattr(at.operator, "balance", broken)
        (await at.hall.get(f"{inside}/balance")).refused("internal")
        assert await at.record(msisdn) == before

    visit(tmp_path, story)


# The server's keys ------------------------------------------------------------------------------------------------


async def known_by(at: Endpoint, path: str, signing: dict[str, bytes]) -> Said | None:
    """Return the answer where whoever knows these keys alone believes it."""
    at.signing = signing
    try:
        return await at.hall.get(path)
    except AssertionError:
        return None


def test_keys_are_told_to_whoever_knows_any_of_them(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        old = dict(at.signing)
        keys.change(at.keys.path, lambda ring: ring.rotate("signing", NOW))
        assert at.keys.refresh()
        new = {key.id: key.octets for key in at.keys.ring.public("signing") if key.current}
        assert new.keys().isdisjoint(old)
        for known in (old, new):
            said = await known_by(at, "/v1/keys", known)
            assert said is not None
            told = {one["id"]: (one["public"], one["current"]) for one in said.ok(200)["signing"]}
            assert told == {
                **{id: (base64.b64encode(octets).decode(), False) for id, octets in old.items()},
                **{id: (base64.b64encode(octets).decode(), True) for id, octets in new.items()},
            }
        assert await known_by(at, f"{inside}/balance", old) is None, "other answers are signed by the current key alone"
        assert await known_by(at, f"{inside}/balance", new) is not None
        keys.change(at.keys.path, lambda ring: ring.retire(next(iter(old))))
        at.keys.refresh()
        assert await known_by(at, "/v1/keys", old) is None

    visit(tmp_path, story)


def test_keys_are_told_unasked_by_whom(tmp_path: Path) -> None:
    """A request need not be signed; the answer is, and holds no private half."""

    async def story(at: Endpoint) -> None:
        bare = at.hall.prepare("GET", "/v1/keys")
        unsigned = type(bare)(bare.method, bare.path, {}, b"")
        told = (await at.send(unsigned)).ok(200)
        assert set(told) == {"transport", "signing"}
        secrets = {base64.b64encode(key.secret.reveal()).decode() for key in at.keys.ring.keys}
        assert not secrets & {one["public"] for kind in told.values() for one in kind}

    visit(tmp_path, story)


def test_an_answer_fits_no_other_request(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        one, other = (at.hall.prepare("GET", f"{inside}/balance") for _ in range(2))
        said = await at.send(one)
        at.believed(said, one)
        with pytest.raises(AssertionError):
            at.believed(said, other)

    visit(tmp_path, story)


def test_an_answer_that_was_had_with_a_stolen_signature_is_not_believed(tmp_path: Path) -> None:
    """Who stands between terminal and server sends the signature of an order with a request of their own.

    Those are answered by the server in earnest: with its keys, that there is no such thing, that it was not signed.
    """

    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        held = at.hall.prepare("POST", f"{inside}/orders", {"quote": "no-1"})
        stolen = {"Signature": held.headers["Signature"]}
        bound = {name: held.headers[name] for name in ("Content-Digest", "Idempotency-Key")}
        for method, path, headers in [
            ("GET", "/v1/keys", stolen),
            ("GET", "/v1/nothing-here", stolen),
            ("GET", f"{inside}/balance", {**stolen, **bound}),
            ("POST", f"{inside}/quotes", {**stolen, **bound}),
            ("POST", f"{inside}/orders", stolen),
            ("POST", f"{inside}/orders", {**stolen, **bound, "Idempotency-Key": "another"}),
        ]:
            said = await at.send(Prepared(method, path, headers, b""))
            assert said.signed is not None
            with pytest.raises(AssertionError, match="signature-invalid"):
                at.believed(said, held)
        (await at.send(held)).refused("quote-unknown")

    visit(tmp_path, story)


def test_a_terminal_is_told_that_it_may_serve_and_what_is_left_of_its_budgets(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        async def left() -> tuple[int, int]:
            told = (await at.hall.get("/v1/terminal")).ok(200)
            assert (told["terminal"], told["name"]) == ("hall", "Hall")
            return told["wrong_entries_left"], told["code_orders_left"]

        await at.add(at.hall, wrong_an_hour=2, orders_an_hour=3)
        assert await left() == (2, 3)
        (await at.hall.post(ORDERS, {"msisdn": RICH})).ok(202)
        (await at.hall.enter(await at.number(), WRONG)).refused("code-rejected")
        assert await left() == (1, 2)
        at.now += 3_600_000
        assert await left() == (2, 3)
        (await at.hall.get("/v1/terminal?a=1")).refused("invalid-request")
        for _ in range(2):
            await at.hall.enter(await at.number(), WRONG)
        (await at.hall.get("/v1/terminal")).refused("terminal-quarantined")
        await at.add(at.hall, standing="revoked")
        (await at.hall.get("/v1/terminal")).refused("key-unknown")

    visit(tmp_path, story)


def test_each_problem_is_explained_where_its_type_points(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        at.believed = lambda said, request: said  # type: ignore[method-assign]  # an explanation needs no signature
        refused = json.loads((await at.hall.get("/v1/nothing")).body)
        said = await at.hall.get(refused["type"])
        assert said.status == 200
        assert refused["title"].encode() in said.body
        assert (await at.hall.get("/problems/none")).status == 404

    visit(tmp_path, story)


# Too much to do -------------------------------------------------------------------------------------------------------


def test_while_there_is_too_much_to_do_only_what_is_new_is_refused(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        here, there = await at.number(), await at.number()
        inside = await at.hall.visit(here)
        at.crowded = True
        for said in (
            await at.hall.enter(there, CODE),
            await at.hall.post(ORDERS, {"msisdn": there}),
        ):
            said.refused("busy")
            assert (said.status, said.headers["Retry-After"]) == (503, "5")
        assert (await at.hall.get(f"{inside}/balance")).status == 200
        assert await at.journal(there) == []
        at.crowded = False
        assert (await at.hall.enter(there, CODE)).status == 201

    visit(tmp_path, story)
