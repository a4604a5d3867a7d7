"""Who may ask, over real HTTP: every request that is not an active terminal's own, whole, fresh and first is refused.

Each test begins with a request that would be taken, and spoils one thing.
"""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ussd_server.http.endpoint import NOW, Endpoint, Machine, Prepared, Said, new_key, visit
from ussd_server.http.guard import MAX_BODY, MAX_KEY
from ussd_server.terminals import registry
from ussd_server.terminals.signatures import MAX_AGE_S, MAX_AHEAD_S, content_digest

PATH = "/v1/code-orders"
MSISDN = "79100200500"
BARE = Prepared("POST", PATH, {}, b"")


def order(at: Endpoint) -> Prepared:
    """Return a request that is taken, once."""
    return at.hall.prepare("POST", PATH, {"msisdn": MSISDN})


def sent(directory: Path, spoil: Callable[[Endpoint], Prepared], **named: object) -> Said:
    """Send one request to an endpoint of its own; whatever was refused has done nothing."""
    said: list[Said] = []

    async def story(at: Endpoint) -> None:
        said.append(await at.send(spoil(at)))
        if said[0].status >= 400:
            assert await at.store.next_due() is None, "a request that was refused left work"
            terminal, _ = await at.store.load_terminal("hall")
            assert terminal.orders == ()

    visit(directory, story, **named)
    return said[0]


def test_a_good_request_is_taken(tmp_path: Path) -> None:
    assert sent(tmp_path, order).ok(202) == {"status": "accepted"}


def test_unsigned(tmp_path: Path) -> None:
    def spoil(at: Endpoint) -> Prepared:
        good = order(at)
        return replace(good, headers={k: v for k, v in good.headers.items() if not k.startswith("Signature")})

    sent(tmp_path, spoil).refused("signature-missing")


@pytest.mark.parametrize("field", ["Signature", "Signature-Input"])
def test_half_signed(tmp_path: Path, field: str) -> None:
    def spoil(at: Endpoint) -> Prepared:
        good = order(at)
        return replace(good, headers={k: v for k, v in good.headers.items() if k != field})

    assert sent(tmp_path, spoil).status == 401


def _another_body(good: Prepared) -> Prepared:
    return replace(good, body=good.body.replace(b"500", b"501"))


def _another_body_with_its_digest(good: Prepared) -> Prepared:
    other = _another_body(good)
    return other.but(Content_Digest=content_digest(other.body))


def _parameter(name: str, value: str) -> Callable[[Prepared], Prepared]:
    def change(good: Prepared) -> Prepared:
        before, _, rest = good.headers["Signature-Input"].partition(f";{name}=")
        assert rest
        return good.but(Signature_Input=f"{before};{name}={value};{rest.partition(';')[2]}".rstrip(";"))

    return change


SPOILT: dict[str, Callable[[Prepared], Prepared]] = {
    "method": lambda good: replace(good, path="/v1/visits/x", method="DELETE"),
    "authority": lambda good: good.but(Host="elsewhere.example"),
    "path": lambda good: replace(good, path="/v1/visits"),
    "query": lambda good: replace(good, path=f"{PATH}?a=1"),
    "body": _another_body,
    "body and digest": _another_body_with_its_digest,
    "idempotency key": lambda good: good.but(Idempotency_Key="another"),
    "created": _parameter("created", str(NOW // 1000 - 1)),
    "nonce": _parameter("nonce", '"another"'),
    "signature": lambda good: good.but(Signature=f"sig1=:{'A' * 86}==:"),
    "no such form": lambda good: good.but(Signature="sig1=:AAAA:"),
    "covers less": lambda good: good.but(
        Signature_Input=good.headers["Signature-Input"].replace(' "idempotency-key"', "")
    ),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_each_part_that_is_signed(tmp_path: Path, spoil: Callable[[Prepared], Prepared]) -> None:
    sent(tmp_path, lambda at: spoil(order(at))).refused("signature-invalid")


def test_fields_that_were_added_after_signing(tmp_path: Path) -> None:
    """What must be covered where it is there cannot be added on the way."""

    def keyless(at: Endpoint) -> Prepared:
        bare = at.hall.prepare("GET", PATH, {"msisdn": MSISDN})  # signed without an Idempotency-Key, by its method
        return replace(bare, method="POST").but(Idempotency_Key=new_key())

    def bodiless(at: Endpoint) -> Prepared:
        return replace(at.hall.prepare("POST", PATH), body=order(at).body).but(Content_Type="application/json")

    sent(tmp_path / "1", keyless).refused("signature-invalid")
    sent(tmp_path / "2", bodiless).refused("signature-invalid")


def test_signed_by_another_terminals_key(tmp_path: Path) -> None:
    def spoil(at: Endpoint) -> Prepared:
        yard = at.yard.prepare("POST", PATH, {"msisdn": MSISDN})
        return yard.but(
            Signature_Input=yard.headers["Signature-Input"].replace(at.yard.signer.keyid, at.hall.signer.keyid)
        )

    sent(tmp_path, spoil).refused("signature-invalid")


def written(at: Endpoint, request: Prepared, *fields: str, target: str = PATH) -> bytes:
    """Return a request's octets, with fields before its own."""
    head = [f"{request.method} {target} HTTP/1.1", f"Host: {at.address}", f"Content-Length: {len(request.body)}"]
    head += [*fields, *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join([*head, "", ""]).encode() + request.body


def without(request: Prepared, *names: str) -> Prepared:
    return replace(request, headers={name: value for name, value in request.headers.items() if name not in names})


@pytest.mark.parametrize(
    "field", ["Signature: x", "Signature: \u00e4", "Signature-Input: x", "Idempotency-Key: x", "Content-Digest: x"]
)
def test_fields_that_are_there_twice(tmp_path: Path, field: str) -> None:
    """What no signature can cover of a request is not in that of its answer, so whoever sent it once does not believe.

    That it was there twice is told by nothing else than a refusal.
    """

    async def story(at: Endpoint) -> None:
        good = order(at)
        said = await raw(at, written(at, good, field))
        at.believed(said, without(good, field.partition(":")[0])).refused("signature-invalid")
        if field != "Signature-Input: x":
            with pytest.raises(AssertionError, match="is not covered"):
                at.believed(said, good)

    visit(tmp_path, story)


@pytest.mark.parametrize("value", ["sig1=:\u00e4:", "\u00e4"])
def test_a_signature_that_is_not_ascii(tmp_path: Path, value: str) -> None:
    async def story(at: Endpoint) -> None:
        good = without(order(at), "Signature")
        at.believed(await raw(at, written(at, good, f"Signature: {value}")), good).refused("signature-invalid")

    visit(tmp_path, story)


def test_an_expectation_that_is_none(tmp_path: Path) -> None:
    """RFC 9110, section 10.1.1: a server may refuse what it does not know."""

    async def story(at: Endpoint) -> None:
        good = order(at)
        at.believed(await raw(at, written(at, good, "Expect: foo")), good).refused("invalid-request")
        assert await at.store.next_due() is None

    visit(tmp_path, story)


def test_a_target_in_absolute_form(tmp_path: Path) -> None:
    """RFC 9112, section 3.2.2: it is taken where it is ours, by whatever name it was signed."""

    async def story(at: Endpoint) -> None:
        good = order(at)
        (await raw(at, written(at, good, target=at.url + PATH))).ok(202)
        for origin in ("http://elsewhere.example", "http://127.0.0.1:1", f"{at.url}@elsewhere.example", at.url.upper()):
            other = at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, url=origin)
            said = await raw(at, written(at, other, target=origin + PATH))
            assert "not this server's" in said.refused("signature-invalid")["detail"], origin

    visit(tmp_path, story)


def test_a_target_in_absolute_form_does_not_pass_by_the_url_that_terminals_know(tmp_path: Path) -> None:
    known = "https://terminals.example"

    async def story(at: Endpoint) -> None:
        inside = at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, url=at.url)
        (await raw(at, written(at, inside, target=at.url + PATH))).refused("signature-invalid")
        outside = at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, url=known)
        (await raw(at, written(at, outside, target=known + PATH))).ok(202)

    visit(tmp_path, story, url=known)


async def raw(at: Endpoint, *parts: bytes) -> Said:
    """Send octets as they are, each part once the one before was read, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.address.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            (await at.hall.get("/v1/keys")).ok(200)  # another connection's answer: this one's octets were read before
        return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> Said:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return Said(int(head[0].split(" ")[1]), headers, await reader.readexactly(int(headers["Content-Length"])))


# Time and repetition ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-MAX_AGE_S - 1, MAX_AHEAD_S + 1])
def test_late_and_from_the_future(tmp_path: Path, seconds: int) -> None:
    def spoil(at: Endpoint) -> Prepared:
        return at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, at=NOW + seconds * 1000)

    sent(tmp_path, spoil).refused("signature-late")


@pytest.mark.parametrize("seconds", [-MAX_AGE_S, MAX_AHEAD_S])
def test_just_in_time(tmp_path: Path, seconds: int) -> None:
    sent(tmp_path, lambda at: at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, at=NOW + seconds * 1000)).ok(202)


def test_a_replay_is_refused_as_long_as_its_signature_is_good(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        good = at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, at=NOW + MAX_AHEAD_S * 1000)
        (await at.send(good)).ok(202)
        for seconds in (0, MAX_AGE_S, MAX_AGE_S + MAX_AHEAD_S):
            at.now = NOW + seconds * 1000
            await at.store.sweep(at.now, 1000)
            (await at.send(good)).refused("nonce-used")
        at.now += 1000
        (await at.send(good)).refused("signature-late")
        assert await at.work_left() == 1

    visit(tmp_path, story)


def test_of_one_request_sent_many_times_at_once_one_is_taken(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        good = order(at)
        said = await asyncio.gather(*(at.send(good) for _ in range(20)))
        assert sorted(one.status for one in said) == [202, *[401] * 19]
        for one in said:
            if one.status == 401:
                one.refused("nonce-used")

    visit(tmp_path, story)


def test_a_nonce_is_its_terminals_own(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        for machine in (at.hall, at.yard):
            (await at.send(machine.prepare("POST", PATH, {"msisdn": MSISDN}, nonce="n1"))).ok(202)

    visit(tmp_path, story)


def test_a_request_that_was_refused_for_its_signature_burns_no_nonce(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        good = order(at)
        (await at.send(_another_body(good))).refused("signature-invalid")
        (await at.send(good)).ok(202)

    visit(tmp_path, story)


@pytest.mark.parametrize("key", ["", "k" * (MAX_KEY + 1)])
def test_a_post_needs_an_idempotency_key(tmp_path: Path, key: str) -> None:
    sent(tmp_path, lambda at: at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, key)).refused("idempotency-key-missing")


# Whose key --------------------------------------------------------------------------------------------------------


def test_unknown_keys_and_terminals(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        stranger = Machine(at, "stranger")
        impostor = Machine(at, "hall")
        for machine in (stranger, impostor):
            (await machine.post(PATH, {"msisdn": MSISDN})).refused("key-unknown")

    visit(tmp_path, story)


def test_revoked_and_quarantined_terminals(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        for standing, refusal in (("revoked", "key-unknown"), ("quarantined", "terminal-quarantined")):
            await at.add(at.hall, standing=standing)
            (await at.hall.post(PATH, {"msisdn": MSISDN})).refused(refusal)
            (await at.hall.get(f"{inside}/balance")).refused(refusal)
            (await at.hall.enter(await at.number(), "11111112")).refused(refusal)
        assert await at.store.next_due() is None
        await at.add(at.hall)
        (await at.hall.get(f"{inside}/balance")).ok(200)

    visit(tmp_path, story)


def test_a_budget_that_is_changed_while_the_server_runs_holds_from_the_next_request_on(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        for orders, refusal in ((1, ""), (1, "too-many-requests"), (2, ""), (2, "too-many-requests")):
            wanted = registry.Wanted(orders_an_hour=orders)
            adjust = registry.known(lambda one, wanted=wanted: registry.adjust(one, wanted, at.now), at.hall.id)  # type: ignore[misc]
            await registry.change(at.store, at.hall.id, adjust)
            said = await at.hall.post(PATH, {"msisdn": MSISDN})
            said.refused(refusal) if refusal else said.ok(202)

    visit(tmp_path, story)


def test_a_quarantine_is_told_only_to_the_terminal_itself(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        await at.add(at.hall, standing="quarantined")
        (await at.send(_another_body(order(at)))).refused("signature-invalid")

    visit(tmp_path, story)


def test_the_url_that_terminals_know_is_what_they_sign(tmp_path: Path) -> None:
    """Behind a proxy the server's own address and scheme say nothing."""
    known = "https://terminals.example"
    sent(tmp_path / "1", lambda at: at.hall.prepare("POST", PATH, {"msisdn": MSISDN}, url=known), url=known).ok(202)
    sent(tmp_path / "2", order, url=known).refused("signature-invalid")


# Size and time of the body ----------------------------------------------------------------------------------------


def test_oversized_by_its_length(tmp_path: Path) -> None:
    """It is refused by what it says of itself; no octet of the body has come."""

    async def story(at: Endpoint) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
        at.believed(await raw(at, head.encode()), BARE).refused("too-large")

    visit(tmp_path, story)


def test_oversized_in_chunks(tmp_path: Path) -> None:
    """A body of unknown length is read to the limit and no further."""

    async def story(at: Endpoint) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        at.believed(await raw(at, head.encode() + chunk * 5), BARE).refused("too-large")

    visit(tmp_path, story)


def test_the_largest_body_is_read(tmp_path: Path) -> None:
    def large(at: Endpoint) -> Prepared:
        return at.hall.prepare("POST", PATH, order(at).body.ljust(MAX_BODY))

    sent(tmp_path, large).ok(202)


@pytest.mark.parametrize("body", [b"", b'{"msi'])
def test_a_body_that_does_not_come_to_its_end(tmp_path: Path, body: bytes) -> None:
    async def story(at: Endpoint) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nContent-Length: 100\r\n\r\n"
        at.believed(await raw(at, head.encode() + body), BARE).refused("too-slow")

    visit(tmp_path, story, body_s=0.05)


def test_a_body_that_is_none_is_the_senders_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the head was read before, the answer is signed, and comes at once."""

    async def story(at: Endpoint) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        at.believed(await raw(at, head, b"zz\r\n{}\r\n0\r\n\r\n"), BARE).refused("invalid-request")

    visit(tmp_path, story)
    assert "request failed" not in capsys.readouterr().out


def test_what_is_no_http_is_answered_unsigned(tmp_path: Path) -> None:
    """There is no request that the answer could be bound to; its problem is documented all the same."""

    async def story(at: Endpoint) -> None:
        said = await raw(at, f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nContent-Length: x\r\n\r\n".encode())
        said.refused("unreadable-request")
        assert "Signature" not in said.headers

    visit(tmp_path, story)


def test_an_encoded_body_is_not_decoded(tmp_path: Path) -> None:
    """So that a small body stays small, and the digest is that of what was sent."""

    async def story(at: Endpoint) -> None:
        packed = at.hall.prepare("POST", PATH, gzip.compress(order(at).body))
        (await at.send(packed.but(Content_Encoding="gzip"))).refused("unsupported-media-type")
        bomb = at.hall.prepare("POST", PATH, gzip.compress(bytes(50 * MAX_BODY)))
        (await at.send(bomb.but(Content_Encoding="gzip"))).refused("unsupported-media-type")
        nonsense = at.hall.prepare("POST", PATH, b"abcd")
        (await at.send(nonsense.but(Content_Encoding="gzip"))).refused("unsupported-media-type")
        (await at.send(order(at).but(Content_Encoding="identity"))).ok(202)

    visit(tmp_path, story)


def test_a_sender_that_goes_away_in_the_middle_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(at: Endpoint) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", at.address.port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: {at.address}\r\nContent-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        (await at.hall.post(PATH, {"msisdn": MSISDN})).ok(202)
        writer.close()
        await writer.wait_closed()
        (await at.hall.post(PATH, {"msisdn": MSISDN})).ok(202)

    visit(tmp_path, story)
    assert "request failed" not in capsys.readouterr().out
