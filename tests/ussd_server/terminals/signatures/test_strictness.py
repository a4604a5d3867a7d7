"""A request may be signed in another way, but covers all it must, with known parameters and one signature."""

import base64
import dataclasses
from typing import Final

import pytest

from tests.ussd_server.terminals.signatures.signed import BODY, HEADERS, NOW, TERMINAL, URL, Sent, but, request
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Refused, Signed


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
