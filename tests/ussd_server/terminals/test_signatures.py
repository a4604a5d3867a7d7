"""Signed messages: the RFC's own example, an independent implementation as witness, every change noticed, no raise."""

import base64
import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Asked, Refused, Signed, Signer

NOW: Final = 1_763_881_200_000
SEED: Final = bytes(range(32))
TERMINAL: Final = Signer("kiosk-1/a1b2", Secret(SEED))
SERVER: Final = Signer("signing-1", Secret(bytes(reversed(SEED))))
NEWER: Final = Signer("signing-2", Secret(bytes([7] * 32)))
URL: Final = "https://ussd.example:8443/v1/visits?x=1"
BODY: Final = b'{"msisdn":"79100000001"}'
HEADERS: Final = {"Host": "ussd.example:8443", "Content-Type": "application/json", "Idempotency-Key": "first try"}


@dataclasses.dataclass(frozen=True)
class Sent:
    """A request as it is on the wire."""

    method: str = "POST"
    url: str = URL
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = BODY
    now: int = NOW

    @property
    def asked(self) -> Asked:
        return Asked(self.method, self.url, self.headers)

    def verified(self) -> Signed | Refused:
        return signatures.verify_request(self.method, self.url, self.headers, self.body, known, self.now)


def known(keyid: str) -> bytes | None:
    return {each.keyid: each.public for each in (TERMINAL, SERVER, NEWER)}.get(keyid)


def request(method: str = "POST", url: str = URL, headers: Mapping[str, str] = HEADERS, body: bytes = BODY) -> Sent:
    signed = signatures.sign_request(method, url, headers, body, TERMINAL, NOW, "nonce-1")
    return Sent(method, url, signed, body)


def but(sent: Sent, **headers: str | None) -> Sent:
    """Return the request with some header fields another (or gone, where None)."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in sent.headers.items() if name.lower() not in changed}
    return dataclasses.replace(sent, headers={**kept, **{n: v for n, v in changed.items() if v is not None}})


# The RFC's example ------------------------------------------------------------------------------------------------


def test_the_ed25519_example_of_the_rfc() -> None:
    """RFC 9421, B.1.4 (the key) and B.2.6 (the message)."""
    seed = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
    signer = Signer("test-key-ed25519", Secret(seed))
    assert base64.urlsafe_b64encode(signer.public) == b"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs="
    values = {
        '"date"': "Tue, 20 Apr 2021 02:07:55 GMT",
        '"@method"': "POST",
        '"@path"': "/foo",
        '"@authority"': "example.com",
        '"content-type"': "application/json",
        '"content-length"': "18",
    }
    params = f'({" ".join(values)});created=1618884473;keyid="test-key-ed25519"'
    assert base64.b64encode(signer.sign(signatures.signature_base(values, values, params))) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_the_content_digest_of_the_rfc() -> None:
    """RFC 9530, appendix B.1."""
    assert (
        signatures.content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    )


# The library as witness -------------------------------------------------------------------------------------------


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


# Requests ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", signatures.REQUEST_COMPONENTS)
def test_every_component_must_be_covered(name: str) -> None:
    """A signature that is good in itself, by the right key, but leaves one out."""
    wanted = [f'"{each}"' for each in signatures.REQUEST_COMPONENTS if each != name]
    assert resigned(wanted).verified() == Refused("signature-invalid", f'"{name}" is not covered')


PARAMS: Final = f';created={NOW // 1000};keyid="kiosk-1/a1b2";nonce="n"'
ALL: Final = [f'"{each}"' for each in signatures.REQUEST_COMPONENTS]


def resigned(names: list[str] = ALL, params: str = PARAMS) -> Sent:
    """Return a request that our terminal's key signed in another way."""
    digest = signatures.content_digest(BODY)
    values = {
        '"@method"': "POST",
        '"@authority"': "ussd.example:8443",
        '"@target-uri"': URL,
        '"content-digest"': digest,
        '"idempotency-key"': HEADERS["Idempotency-Key"],
        '"host"': "ussd.example:8443",
    }
    params = f"({' '.join(names)}){params}"
    signature = base64.b64encode(TERMINAL.sign(signatures.signature_base(values, names, params))).decode()
    return Sent(
        headers={
            **HEADERS,
            "Content-Digest": digest,
            "Signature-Input": f"a={params}",
            "Signature": f"a=:{signature}:",
        }
    )


def test_signing_in_another_way_is_good_where_nothing_is_missing() -> None:
    assert resigned().verified() == Signed("kiosk-1/a1b2", "n", NOW // 1000)
    assert isinstance(resigned(['"host"', *reversed(ALL)]).verified(), Signed)
    assert isinstance(resigned(params=PARAMS + f';expires={NOW // 1000};tag="any"').verified(), Signed)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (f';created={NOW // 1000};nonce="n"', "signature-invalid"),
        (';keyid="kiosk-1/a1b2";nonce="n"', "signature-invalid"),
        (f';created={NOW // 1000};keyid="kiosk-1/a1b2"', "signature-invalid"),
        (PARAMS + ';alg="hmac-sha256"', "signature-invalid"),
        (PARAMS + ';alg="rsa-pss-sha512"', "signature-invalid"),
        (PARAMS + ';nonce="m"', "signature-invalid"),
        (PARAMS + ";expires=1", "signature-late"),
        (PARAMS + ';expires="1"', "signature-invalid"),
        (PARAMS + ';other="x"', "signature-invalid"),
        (PARAMS.replace("kiosk-1", "kiosk-2"), "key-unknown"),
        (PARAMS.replace('nonce="n"', f'nonce="{"n" * 129}"'), "signature-invalid"),
        (PARAMS.replace(';nonce="n"', ";nonce=1"), "signature-invalid"),
    ],
)
def test_parameters_are_taken_strictly(params: str, why: str) -> None:
    refused = resigned(params=params).verified()
    assert isinstance(refused, Refused)
    assert refused.why == why


@pytest.mark.parametrize("names", [[*ALL, ALL[0]], [*ALL, '"date"'], [*ALL, '"signature";req']])
def test_components_are_taken_strictly(names: list[str]) -> None:
    sent = resigned()
    params = str(sent.headers["Signature-Input"]).replace(" ".join(ALL), " ".join(names))
    refused = but(sent, signature_input=params).verified()
    assert isinstance(refused, Refused)
    assert refused.why == "signature-invalid"


def test_two_signatures_on_a_request_are_refused_though_both_are_good() -> None:
    one, two = request().headers, resigned().headers
    both = {name: f"{one[name]}, {two[name]}" for name in ("Signature", "Signature-Input")}
    assert dataclasses.replace(request(), headers={**one, **both}).verified() == Refused(
        "signature-invalid", "a request has exactly one signature"
    )


def test_the_wrong_key_is_noticed() -> None:
    sent = request()
    assert signatures.verify_request("POST", URL, sent.headers, BODY, lambda _: SERVER.public, NOW) == Refused(
        "signature-invalid", "the signature does not fit what was sent"
    )


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


# Answers ----------------------------------------------------------------------------------------------------------


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


# Anything ---------------------------------------------------------------------------------------------------------

TEXTS: Final = st.text(alphabet=st.characters(codec="utf-8"), max_size=80)
INPUTS: Final = st.one_of(
    TEXTS,
    st.lists(
        st.sampled_from(
            [
                "sig1=(",
                ")",
                '"@method"',
                " ",
                '"',
                "\\",
                ";",
                "created=",
                "1",
                "9" * 30,
                "keyid=",
                '"k"',
                ";req",
                ",",
                "sig1=:",
                ":",
                "A" * 86,
                "==",
                "\n",
                "\udcff",
                '"@target-uri"',
                'nonce="n"',
                "a=",
                "()",
            ]
        ),
        max_size=20,
    ).map("".join),
    st.sampled_from([str(request().headers["Signature-Input"]), str(request().headers["Signature"])]).flatmap(
        lambda good: st.tuples(st.integers(0, len(good)), st.integers(0, 4), TEXTS).map(
            lambda cut: good[: cut[0]] + cut[2] + good[cut[0] + cut[1] :]
        )
    ),
)


@given(INPUTS, INPUTS, TEXTS, TEXTS, st.binary(max_size=8))
def test_nothing_that_comes_raises(signature_input: str, signature: str, method: str, url: str, body: bytes) -> None:
    headers = {**request().headers, "Signature-Input": signature_input, "Signature": signature}
    signatures.claimed_by(headers)
    assert isinstance(signatures.verify_request(method, url, headers, body, lambda _: bytes(32), NOW), Refused)
    asked = Asked(method, url, headers)
    assert isinstance(signatures.verify_response(200, headers, body, asked, lambda _: bytes(32), NOW), Refused)


@given(
    st.dictionaries(st.sampled_from(["signature", "content-digest", "host", "Idempotency-Key"]), TEXTS), TEXTS, TEXTS
)
def test_no_other_message_fits_a_signature(changed: dict[str, str], method: str, url: str) -> None:
    sent = request()
    headers = {**{name.lower(): value for name, value in sent.headers.items()}, **changed}
    refused = signatures.verify_request(method, url, headers, BODY, known, NOW)
    assert isinstance(refused, Refused)
    assert refused.why == "signature-invalid"


@pytest.mark.parametrize(("name", "value"), [("Idempotency-Key", "ключ"), ("Idempotency-Key", "a\nb")])
def test_what_cannot_be_signed_is_said_at_once(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        request(headers={**HEADERS, name: value})


def test_a_signer_shows_nothing_of_its_key() -> None:
    assert base64.b64encode(SEED).decode() not in repr(TERMINAL)
    assert SEED.hex() not in repr(TERMINAL)
