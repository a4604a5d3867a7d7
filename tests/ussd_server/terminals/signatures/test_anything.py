"""Nothing that comes raises or fits by chance, and a signer tells nothing of its key."""

import base64
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ussd_server.terminals.signatures.signed import BODY, HEADERS, NOW, SEED, TERMINAL, known, request
from ussd_server.terminals import signatures
from ussd_server.terminals.signatures import Asked, Refused

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
