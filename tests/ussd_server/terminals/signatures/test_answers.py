"""An answer is known by a pinned key, and fits no request but the one that it answers."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.ussd_server.terminals.signatures.signed import NEWER, NOW, SERVER, TERMINAL, URL, known, request
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Asked, Refused, Signed, Signer

ANYTHING: Final = Asked("", "", {})
"""A request of which nothing is known."""


def answer(signers: list[Signer], asked: Asked | None = None, /, **headers: str) -> dict[str, str]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return signatures.sign_response(200, headers, b"{}", asked or request().asked, signers, NOW)


def pinned(*signers: Signer) -> signatures.PublicKeys:
    return {each.keyid: each.public for each in signers}.get


def test_an_answer_is_known_by_its_key_and_belongs_to_its_request() -> None:
    sent = request()
    headers = answer([SERVER], content_type="application/json")
    good = Signed("signing-1", "", NOW // 1000)
    assert signatures.verify_response(200, headers, b"{}", sent.asked, known, NOW) == good
    for status, body, asked, now in [
        (201, b"{}", sent.asked, NOW),
        (200, b"[]", sent.asked, NOW),
        (200, b"{}", request(url=URL + "2").asked, NOW),
        (200, b"{}", sent.asked, NOW + 61_000),
    ]:
        assert isinstance(signatures.verify_response(status, headers, body, asked, known, now), Refused)


@pytest.mark.parametrize("name", ["content_type", "retry_after"])
def test_a_header_that_matters_can_be_neither_changed_nor_added_nor_taken_away(name: str) -> None:
    sent = request().asked
    field = name.replace("_", "-")
    having, without = answer([SERVER], None, **{name: "1"}), answer([SERVER])
    assert isinstance(signatures.verify_response(200, having, b"{}", sent, known, NOW), Signed)
    for forged in ({**having, field: "2"}, {**without, field: "1"}, {n: v for n, v in having.items() if n != field}):
        assert isinstance(signatures.verify_response(200, forged, b"{}", sent, known, NOW), Refused)


OTHERS: Final[dict[str, Mapping[str, Any]]] = {
    "method": {"method": "GET"},
    "address": {"url": "https://ussd.example:8443/v1/keys"},
    "digest": {"headers": {**request().headers, "Content-Digest": signatures.content_digest(b"{}")}},
    "key": {"headers": {**request().headers, "Idempotency-Key": "second try"}},
    "signature": {"headers": {**request().headers, "Signature": request(url=URL + "2").headers["Signature"]}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_an_answer_for_another_than_the_signed_request_is_refused(other: Mapping[str, Any]) -> None:
    """As where the request's signature was sent on with another request, which the server answered."""
    asked = request().asked
    signed = answer([SERVER], dataclasses.replace(asked, **other))
    assert signatures.verify_response(200, signed, b"{}", asked, known, NOW) == Refused(
        "signature-invalid", "the signature does not fit what was sent"
    )


@pytest.mark.parametrize("name", ["Content-Digest", "Idempotency-Key", "Signature"])
@pytest.mark.parametrize("instead", [None, "\u00e4", "a\nb", "\udcff"])
def test_an_answer_to_a_request_that_lacked_something_is_refused(name: str, instead: str | None) -> None:
    """As where that was taken away on the way, or something put in its place that no signature can cover."""
    asked = request().asked
    headers = {field: value for field, value in asked.headers.items() if field != name}
    lacking = headers if instead is None else {**headers, name: instead}
    signed = answer([SERVER], dataclasses.replace(asked, headers=lacking))
    assert signatures.verify_response(200, signed, b"{}", asked, known, NOW) == Refused(
        "signature-invalid", f'"{name.lower()}";req is not covered'
    )
    assert isinstance(
        signatures.verify_response(200, signed, b"{}", dataclasses.replace(asked, headers=headers), known, NOW), Signed
    )


def test_one_key_that_is_pinned_is_enough() -> None:
    sent = request().asked
    both = answer([SERVER, NEWER])
    for keys, keyid in [(pinned(SERVER), "signing-1"), (pinned(NEWER), "signing-2")]:
        assert signatures.verify_response(200, both, b"{}", sent, keys, NOW) == Signed(keyid, "", NOW // 1000)
    assert signatures.verify_response(200, both, b"{}", sent, pinned(TERMINAL), NOW) == Refused(
        "key-unknown", "no signature is by a key that is known"
    )
    forged = {"signing-1": NEWER.public}.get
    assert signatures.verify_response(200, both, b"{}", sent, forged, NOW) == Refused(
        "signature-invalid", "the signature does not fit what was sent"
    )


def test_an_answer_without_content_has_no_digest() -> None:
    headers = signatures.sign_response(204, {}, b"", ANYTHING, [SERVER], NOW)
    assert sorted(headers) == ["Signature", "Signature-Input"]
    assert isinstance(signatures.verify_response(204, headers, b"", ANYTHING, known, NOW), Signed)
    assert signatures.verify_response(204, headers, b"{}", ANYTHING, known, NOW) == Refused(
        "signature-invalid", "the body has no Content-Digest"
    )
