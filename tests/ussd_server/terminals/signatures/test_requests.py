"""A signed request is known by its key in its time, and every change of it is noticed."""

import dataclasses
from typing import Any

import pytest
from multidict import CIMultiDict

from tests.ussd_server.terminals.signatures.signed import BODY, HEADERS, NOW, SERVER, URL, Sent, but, request
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Refused, Signed


def test_a_request_is_known_by_its_key() -> None:
    assert request().verified() == Signed("kiosk-1/a1b2", "nonce-1", NOW // 1000)
    claimed = signatures.claimed_by(request().headers)
    assert isinstance(claimed, signatures.Claimed)
    assert claimed.keyid == "kiosk-1/a1b2"


def test_a_request_covers_what_it_has() -> None:
    sent = request("GET", headers={"Host": "h"}, body=b"")
    assert sent.headers["Signature-Input"] == (
        f'sig1=("@method" "@authority" "@target-uri");created={NOW // 1000};keyid="kiosk-1/a1b2";nonce="nonce-1";'
        'alg="ed25519"'
    )
    assert sent.verified() == Signed("kiosk-1/a1b2", "nonce-1", NOW // 1000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"method": "DELETE"}, "signature-invalid"),
        ({"url": URL + "2"}, "signature-invalid"),
        ({"url": URL.replace("ussd.", "other.")}, "signature-invalid"),
        ({"url": URL.replace("https", "http")}, "signature-invalid"),
        ({"body": BODY.replace(b"1", b"2")}, "signature-invalid"),
        ({"body": b""}, "signature-invalid"),
        ({"now": NOW + 61_000}, "signature-late"),
        ({"now": NOW - 6_000}, "signature-late"),
    ],
)
def test_every_change_around_the_header_is_noticed(change: dict[str, Any], why: str) -> None:
    refused = dataclasses.replace(request(), **change).verified()
    assert isinstance(refused, Refused)
    assert refused.why == why


@pytest.mark.parametrize("now", [NOW - 5_000, NOW, NOW + 60_000])
def test_the_edges_of_its_time_are_good(now: int) -> None:
    assert isinstance(dataclasses.replace(request(), now=now).verified(), Signed)


@pytest.mark.parametrize("field", ["content_digest", "idempotency_key", "signature", "signature_input"])
@pytest.mark.parametrize("value", [None, "", "x", 'sig1=("@method");created=1;keyid="k"', "sha-256=:AAAA=:", "\n", "ж"])
def test_every_change_of_a_signed_field_is_noticed(field: str, value: str | None) -> None:
    refused = but(request(), **{field: value}).verified()
    assert isinstance(refused, Refused)
    assert refused.why == ("signature-missing" if value is None and "signature" in field else "signature-invalid")


def test_a_body_needs_a_digest_and_a_digest_must_be_of_the_body() -> None:
    bare = request(body=b"")
    assert dataclasses.replace(bare, body=BODY).verified() == Refused(
        "signature-invalid", "the body has no Content-Digest"
    )
    lying = {**HEADERS, "Content-Digest": signatures.content_digest(b"something else")}
    assert dataclasses.replace(request(headers=lying, body=b""), body=BODY).verified() == Refused(
        "signature-invalid", "Content-Digest does not fit the body"
    )


def test_a_digest_by_another_algorithm_may_stand_beside_ours() -> None:
    both = {**HEADERS, "Content-Digest": f"md5=:AAAA:, {signatures.content_digest(BODY)}"}
    assert isinstance(dataclasses.replace(request(headers=both, body=b""), body=BODY).verified(), Signed)


def test_a_field_that_came_up_on_the_way_is_noticed() -> None:
    """An Idempotency-Key that nobody signed would have a request repeated under another key."""
    assert but(request(headers={"Host": "h"}), idempotency_key="mine").verified() == Refused(
        "signature-invalid", '"idempotency-key" is not covered'
    )


@pytest.mark.parametrize("name", ["Idempotency-Key", "Content-Digest", "Signature", "Signature-Input"])
def test_a_signed_field_that_is_there_twice_is_refused(name: str) -> None:
    headers = CIMultiDict(request().headers)
    headers.add(name, headers[name])
    assert isinstance(Sent(headers=headers).verified(), Refused)


def test_the_wrong_key_is_noticed() -> None:
    sent = request()
    assert signatures.verify_request("POST", URL, sent.headers, BODY, lambda _: SERVER.public, NOW) == Refused(
        "signature-invalid", "the signature does not fit what was sent"
    )
