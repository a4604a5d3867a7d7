"""HTTP message signatures (RFC 9421) with Ed25519, as terminals and the server use them on each other's messages.

One profile, and nothing beyond it. A request covers `REQUEST_COMPONENTS` (those that it has) and carries `created`,
`nonce` and `keyid`; it has exactly one signature. An answer covers `RESPONSE_COMPONENTS` (those that it has) and, with
`;req`, `ANSWERED` of the request that it answers (those that this has); it may have several signatures, one a key.
Further header fields may be covered. What is not in canonical form (RFC 8941, section 4.1) is refused.

Pure: the time is an argument, and who keeps nonces is the server's store. Nothing that comes over the network raises.
"""

import binascii
import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from ussd_server.secrecy.secrets import Secret

REQUEST_COMPONENTS: Final = ("@method", "@authority", "@target-uri", "content-digest", "idempotency-key")
"""A request without a body has no `content-digest`, one that is no POST has no `idempotency-key`."""
RESPONSE_COMPONENTS: Final = ("@status", "content-type", "content-digest", "retry-after")
"""Those that it has; and `ANSWERED`."""
ANSWERED: Final = ("@method", "@target-uri", "content-digest", "idempotency-key", "signature")
"""What an answer covers of its request (RFC 9421, section 2.4), so that it fits no other.

The signature alone would not do: whoever sees it can send it with another request, and that is answered as well.
"""
ALGORITHM: Final = "ed25519"
MAX_AGE_S: Final = 60
MAX_AHEAD_S: Final = 5
"""How old a signature may be, and how far the other's clock may be ahead."""
NONCE_KEPT_S: Final = 120
"""How long a nonce is kept: longer than a signature with it can be good."""
MAX_LABEL: Final = 128
"""Characters of a nonce and of a key id: both are kept or looked up."""
MAX_SIGNATURES: Final = 8
"""How many signatures an answer may have: one for each signing key of the server, of which there are two or three."""

Refusal: TypeAlias = Literal["signature-missing", "signature-invalid", "signature-late", "key-unknown"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A message whose signature fits: whose key, and the nonce that must not have been used before ("" for none)."""

    keyid: str
    nonce: str
    created: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a signature is not taken; `why` names the problem type, `detail` the place."""

    why: Refusal
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that an answer is to; `url` is its target URI, as the terminal wrote it."""

    method: str
    url: str
    headers: Mapping[str, str]


PublicKeys: TypeAlias = Callable[[str], bytes | None]
"""The Ed25519 public key (32 octets) of a key id."""


class Signer:
    """An Ed25519 key ready to sign, with the id that others know it by.

    Made once and kept: to derive it from its seed (32 octets) takes as long as a signature.
    """

    __slots__ = ("_sign", "keyid", "public")

    def __init__(self, keyid: str, seed: Secret[bytes]) -> None:
        key = SigningKey(seed.reveal())
        self.keyid = keyid
        self.public = bytes(key.verify_key)
        self._sign = key.sign

    def sign(self, base: bytes) -> bytes:
        """Return the signature, 64 octets."""
        return self._sign(base).signature


def content_digest(body: bytes) -> str:
    """Return the Content-Digest (RFC 9530) of a body."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, signer: Signer, now: int, nonce: str
) -> dict[str, str]:
    """Return the headers with Content-Digest (where there is a body), Signature-Input and Signature added.

    `url` is the target URI as it is sent; `now` in ms. Raises ValueError for what no signature can cover.
    """
    added = {"Content-Digest": content_digest(body)} if body else {}
    signed = {**headers, **added}
    values = {**_request_values(method, url), **_fields(signed.items())}
    names = [f'"{name}"' for name in REQUEST_COMPONENTS if name in values]
    values = {f'"{name}"': value for name, value in values.items()}
    signed["Signature-Input"], signed["Signature"] = _sign(values, names, [signer], now, f';nonce="{nonce}"')
    return signed


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a request says of who signed it, for whoever must look the key up first. Nothing is verified yet."""

    fields: Mapping[str, str]
    claim: "_Claim"

    @property
    def keyid(self) -> str:
        """Who says to have signed it."""
        return self.claim.keyid


def claimed_by(headers: Mapping[str, str]) -> Claimed | Refused:
    """Return who says to have signed a request; `verify_claimed` finds out whether it is true."""
    fields = _fields(headers.items())
    claim = _request_claim(fields)
    return claim if isinstance(claim, Refused) else Claimed(fields, claim)


def verify_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: PublicKeys, now: int
) -> Signed | Refused:
    """Return whose request this is. `url` is the target URI as the terminal wrote it; `now` in ms."""
    claimed = claimed_by(headers)
    return claimed if isinstance(claimed, Refused) else verify_claimed(claimed, method, url, body, keys, now)


def verify_claimed(
    claimed: Claimed, method: str, url: str, body: bytes, keys: PublicKeys, now: int
) -> Signed | Refused:
    """Return whose request this is, as `verify_request` does, where its header fields were read before."""
    fields, claim = claimed.fields, claimed.claim
    if not claim.nonce:
        return Refused("signature-invalid", "the parameter nonce is missing")
    values = {**fields, **_request_values(method, url)}
    required = [f'"{name}"' for name in REQUEST_COMPONENTS if name in values]
    if body and '"content-digest"' not in required:
        return Refused("signature-invalid", "the body has no Content-Digest")
    values = {f'"{name}"': value for name, value in values.items()}
    return _verify(claim, values, required, body, keys, now)


def sign_response(
    status: int, headers: Mapping[str, str], body: bytes, asked: Asked, signers: Sequence[Signer], now: int
) -> dict[str, str]:
    """Return the headers with Content-Digest (where there is a body), Signature-Input and Signature added.

    One signature for each of `signers`; what none can cover of the request is left out. Raises ValueError for what
    none can cover of the answer.
    """
    added = {"Content-Digest": content_digest(body)} if body else {}
    signed = {**headers, **added}
    values = _response_values(status, _fields(signed.items()))
    values |= {name: value for name, value in _asked_values(asked).items() if _can_be_covered(value)}
    names = [name for name in _RESPONSE_NAMES if name in values]
    signed["Signature-Input"], signed["Signature"] = _sign(values, names, signers, now)
    return signed


def verify_response(
    status: int, headers: Mapping[str, str], body: bytes, asked: Asked, keys: PublicKeys, now: int
) -> Signed | Refused:
    """Return whose answer this is; a client that gets `Refused` must not believe a word of it.

    `asked` is the request as it was signed and sent. One good signature of a key that is known is enough.
    """
    fields = _fields(headers.items())
    claims = _claims(fields)
    if isinstance(claims, Refused):
        return claims
    values = {**_response_values(status, fields), **_asked_values(asked)}
    required = [name for name in _RESPONSE_NAMES if name in values]
    if body and '"content-digest"' not in required:
        return Refused("signature-invalid", "the body has no Content-Digest")
    refused = Refused("key-unknown", "no signature is by a key that is known")
    for claim in claims:
        result = _verify(claim, values, required, body, keys, now)
        if isinstance(result, Signed):
            return result
        if result.why != "key-unknown":
            refused = result
    return refused


# The signature base (RFC 9421, section 2.5) ---------------------------------------------------------------------

_RESPONSE_NAMES: Final = (*(f'"{name}"' for name in RESPONSE_COMPONENTS), *(f'"{name}";req' for name in ANSWERED))
_SINGLE: Final = frozenset({"signature", "signature-input", "content-digest", "idempotency-key", "content-type"})
_TWICE: Final = "\n"
"""The value of a field that may be there once and was there twice: no signature can cover it."""


def signature_base(values: Mapping[str, str], names: Iterable[str], params: str) -> bytes:
    """Return what is signed: each component's value by its name in quotes, then the parameters.

    Raises ValueError where a value cannot be in it, KeyError where there is none.
    """
    lines = []
    for name in names:
        value = values[name]
        if not _can_be_covered(value):
            raise ValueError(f"{name} cannot be signed")
        lines.append(f"{name}: {value}\n")
    lines.append(f'"@signature-params": {params}')
    return "".join(lines).encode("ascii")


def _can_be_covered(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _fields(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the header fields by name in small letters, the lines of one field put together."""
    fields: dict[str, str] = {}
    for line, content in lines:
        name, value = line.lower(), content.strip(" \t")
        if name not in fields:
            fields[name] = value
        elif name in _SINGLE:
            fields[name] = _TWICE
        else:
            fields[name] = f"{fields[name]}, {value}"
    return fields


def _request_values(method: str, url: str) -> dict[str, str]:
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].lower()
    default = {"http": ":80", "https": ":443"}.get(scheme.lower())
    return {"@method": method, "@authority": authority.removesuffix(default or ""), "@target-uri": url}


def _response_values(status: int, fields: Mapping[str, str]) -> dict[str, str]:
    values = {f'"{name}"': value for name, value in fields.items()}
    values['"@status"'] = str(status)
    return values


def _asked_values(asked: Asked) -> dict[str, str]:
    values = {**_fields(asked.headers.items()), **_request_values(asked.method, asked.url)}
    return {f'"{name}";req': values[name] for name in ANSWERED if name in values}


def _sign(
    values: Mapping[str, str], names: Sequence[str], signers: Sequence[Signer], now: int, more: str = ""
) -> tuple[str, str]:
    """Return the values of Signature-Input and Signature."""
    inputs, signatures = [], []
    for number, signer in enumerate(signers, 1):
        params = f'({" ".join(names)});created={now // 1000};keyid="{signer.keyid}"{more};alg="{ALGORITHM}"'
        signature = signer.sign(signature_base(values, names, params))
        inputs.append(f"sig{number}={params}")
        signatures.append(f"sig{number}=:{b64encode(signature).decode()}:")
    return ", ".join(inputs), ", ".join(signatures)


# What a message claims --------------------------------------------------------------------------------------------

_LABEL: Final = r"[a-z*][a-z0-9_.*-]{0,63}"
_STRING: Final = r'"[ !#-\[\]-~]*"'
_NAME: Final = rf"{_STRING}(?:;req)?"
_INPUT: Final = re.compile(rf"({_LABEL})=(\(({_NAME}(?: {_NAME})*)\)((?:;[a-z]+=(?:{_STRING}|[0-9]{{1,15}}))*))")
_PARAMETER: Final = re.compile(r';([a-z]+)=(?:"([^"]*)"|([0-9]+))')
_SIGNATURE: Final = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/]{{86}}==):")
_BETWEEN: Final = re.compile(r",[ \t]*")
_TEXTS: Final = frozenset({"keyid", "nonce", "alg", "tag"})
_NUMBERS: Final = frozenset({"created", "expires"})


@dataclass(frozen=True, slots=True)
class _Claim:
    """One signature as it came: the components it says to cover, and its parameters as they were written."""

    names: list[str]
    params: str
    signature: bytes
    keyid: str
    nonce: str
    created: int
    expires: int | None


def _request_claim(fields: Mapping[str, str]) -> _Claim | Refused:
    claims = _claims(fields)
    if isinstance(claims, Refused):
        return claims
    if len(claims) != 1:
        return Refused("signature-invalid", "a request has exactly one signature")
    return claims[0]


def _claims(fields: Mapping[str, str]) -> list[_Claim] | Refused:
    """Return every signature of a message, at least one."""
    if "signature" not in fields or "signature-input" not in fields:
        return Refused("signature-missing", "Signature and Signature-Input are needed")
    inputs = _members(_INPUT, fields["signature-input"])
    if inputs is None:
        return Refused("signature-invalid", "Signature-Input is not in the form that is expected")
    signatures = _members(_SIGNATURE, fields["signature"])
    if signatures is None:
        return Refused("signature-invalid", "Signature is not in the form that is expected")
    if inputs.keys() != signatures.keys():
        return Refused("signature-invalid", "Signature-Input and Signature do not belong together")
    claims = []
    for label, found in inputs.items():
        claim = _claim(found, binascii.a2b_base64(signatures[label][2]))
        if isinstance(claim, Refused):
            return claim
        claims.append(claim)
    return claims


def _members(form: re.Pattern[str], text: str) -> dict[str, re.Match[str]] | None:
    """Return the members of a dictionary (RFC 8941, section 3.2) by label; None where it is none of this form."""
    members: dict[str, re.Match[str]] = {}
    at = 0
    while len(members) < MAX_SIGNATURES:
        found = form.match(text, at)
        if found is None or found[1] in members:
            return None
        members[found[1]] = found
        if found.end() == len(text):
            return members
        comma = _BETWEEN.match(text, found.end())
        if comma is None:
            return None
        at = comma.end()
    return None


def _claim(found: re.Match[str], signature: bytes) -> _Claim | Refused:
    texts: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name, text, number in _PARAMETER.findall(found[4]):
        if name in texts or name in numbers:
            return Refused("signature-invalid", "a parameter is there twice")
        if number and name in _NUMBERS:
            numbers[name] = int(number)
        elif not number and name in _TEXTS:
            texts[name] = text
        else:
            return Refused("signature-invalid", "a parameter is not known, or of another type")
    keyid, nonce = texts.get("keyid", ""), texts.get("nonce", "")
    if not keyid or "created" not in numbers:
        return Refused("signature-invalid", "the parameters created and keyid are needed")
    if len(keyid) > MAX_LABEL or len(nonce) > MAX_LABEL:
        return Refused("signature-invalid", f"keyid and nonce have up to {MAX_LABEL} characters")
    if texts.get("alg", ALGORITHM) != ALGORITHM:
        return Refused("signature-invalid", "the only algorithm is ed25519")
    names = re.findall(_NAME, found[3])
    return _Claim(names, found[2], signature, keyid, nonce, numbers["created"], numbers.get("expires"))


def _verify(
    claim: _Claim, values: Mapping[str, str], required: Iterable[str], body: bytes, keys: PublicKeys, now: int
) -> Signed | Refused:
    seconds = now // 1000
    if claim.created > seconds + MAX_AHEAD_S:
        return Refused("signature-late", "created lies in the future")
    if claim.created < seconds - MAX_AGE_S or (claim.expires is not None and claim.expires < seconds):
        return Refused("signature-late", "the signature is too old")
    covered = set(claim.names)
    if len(covered) != len(claim.names):
        return Refused("signature-invalid", "a component is covered twice")
    for name in required:
        if name not in covered:
            return Refused("signature-invalid", f"{name} is not covered")
    if not values.keys() >= covered:
        return Refused("signature-invalid", "a component is covered that this message does not have")
    public = keys(claim.keyid)
    if public is None:
        return Refused("key-unknown")
    try:
        VerifyKey(public).verify(signature_base(values, claim.names, claim.params), claim.signature)
    except (BadSignatureError, ValueError):
        return Refused("signature-invalid", "the signature does not fit what was sent")
    digest = values.get('"content-digest"')
    if digest is not None and content_digest(body) not in [member.strip() for member in digest.split(",")]:
        return Refused("signature-invalid", "Content-Digest does not fit the body")
    return Signed(claim.keyid, claim.nonce, claim.created)
