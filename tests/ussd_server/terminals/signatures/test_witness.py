"""An independent implementation verifies what is signed here, and what it signs is verified."""

import dataclasses
import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)

from tests.ussd_server.terminals.signatures.signed import (
    BODY,
    HEADERS,
    NOW,
    SEED,
    SERVER,
    TERMINAL,
    URL,
    Sent,
    known,
    request,
)
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Signed


@dataclasses.dataclass
class Message:
    """What http-message-signatures takes for a request or, with a `status_code`, for an answer."""

    method: str
    url: str
    headers: dict[str, str]


@dataclasses.dataclass
class Answer:
    status_code: int
    url: str
    headers: dict[str, str]
    request: Message


class Resolver(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Any:
        public = known(key_id)
        return None if public is None else Ed25519PublicKey.from_public_bytes(public)

    def resolve_private_key(self, key_id: str) -> Any:
        assert key_id == TERMINAL.keyid
        return Ed25519PrivateKey.from_private_bytes(SEED)


def witness() -> HTTPMessageVerifier:
    return HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Resolver())


def test_what_we_sign_another_implementation_verifies() -> None:
    sent = request()
    results = witness().verify(
        Message(sent.method, sent.url, dict(sent.headers)),
        max_age=None,
        body=BODY,
        require_components=signatures.REQUEST_COMPONENTS,
    )
    assert [(result.parameters["keyid"], result.nonce) for result in results] == [("kiosk-1/a1b2", "nonce-1")]


def test_what_we_answer_another_implementation_verifies() -> None:
    sent = request()
    headers = signatures.sign_response(
        429, {"Content-Type": "application/problem+json", "Retry-After": "7"}, b"{}", sent.asked, [SERVER], NOW
    )
    answer = Answer(429, sent.url, headers, Message(sent.method, sent.url, dict(sent.headers)))
    required = (*signatures.RESPONSE_COMPONENTS, *(f'"{name}";req' for name in signatures.ANSWERED))
    [result] = witness().verify(answer, max_age=None, body=b"{}", require_components=required)
    assert result.parameters["keyid"] == "signing-1"
    answer.request.headers["Signature"] = str(answer.request.headers["Signature"]).replace("sig1=:", "sig1=:A", 1)
    with pytest.raises(InvalidSignature):
        witness().verify(answer, max_age=None)


@pytest.mark.parametrize("include_alg", [True, False])
def test_what_another_implementation_signs_we_verify(include_alg: bool) -> None:
    """Its order of components and parameters, its label, and fields beyond ours."""
    message = Message("POST", URL, dict(HEADERS))
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Resolver()).sign(
        message,
        key_id=TERMINAL.keyid,
        nonce="n",
        created=datetime.datetime.fromtimestamp(NOW / 1000, datetime.UTC),
        covered_component_ids=("idempotency-key", "host", "@target-uri", "content-type", "@authority", "@method"),
        include_alg=include_alg,
        body=BODY,
    )
    assert Sent(headers=message.headers).verified() == Signed("kiosk-1/a1b2", "n", NOW // 1000)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Ussd.Example:443/v1", "ussd.example"),
        ("http://ussd.example:80/v1", "ussd.example"),
        ("http://ussd.example:443/v1", "ussd.example:443"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
    ],
)
def test_authority_is_normalised_as_the_rfc_says(url: str, authority: str) -> None:
    """RFC 9421, section 2.2.3: small letters, and no default port."""
    sent = request("GET", url, {}, b"")
    assert isinstance(sent.verified(), Signed)
    [result] = witness().verify(Message("GET", url, dict(sent.headers)), max_age=None)
    assert result.covered_components['"@authority"'] == authority
