"""HTTP message signatures (RFC 9421) with Ed25519, as terminals and the server use them on each other's messages.

A request covers `REQUEST_COMPONENTS` (those that it has), with `created`, `nonce` and `keyid`; an answer covers
`RESPONSE_COMPONENTS` and, by `;req`, the signature of the request that it answers. Pure: the time is an argument, and
who keeps nonces is the server's store.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ussd_server.secrecy.secrets import Secret

REQUEST_COMPONENTS: Final = ("@method", "@authority", "@target-uri", "content-digest", "idempotency-key")
"""A request without a body has no `content-digest`, one that is no POST has no `idempotency-key`."""
RESPONSE_COMPONENTS: Final = ("@status", "content-type", "content-digest", '"signature";req')
MAX_AGE_S: Final = 60
MAX_AHEAD_S: Final = 5
"""How old a signature may be, and how far a terminal's clock may be ahead."""
NONCE_KEPT_S: Final = 120
"""How long a nonce is kept: longer than a signature with it can be good."""

Refusal: TypeAlias = Literal["signature-missing", "signature-invalid", "signature-late", "key-unknown"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature fits: whose key, and the nonce that must not have been used before."""

    keyid: str
    nonce: str
    created: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a signature is not taken; `why` names the problem type, `detail` the place."""

    why: Refusal
    detail: str = ""


PublicKeys: TypeAlias = Callable[[str], bytes | None]
"""The Ed25519 public key (32 octets) of a key id."""


def sign_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keyid: str, key: Secret[bytes], now: int, nonce: str
) -> dict[str, str]:
    """Return the headers with Content-Digest (where there is a body), Signature-Input and Signature added."""
    raise NotImplementedError


def verify_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: PublicKeys, now: int
) -> Signed | Refused:
    """Return whose request this is. `url` is the target URI as the terminal wrote it; `now` in ms."""
    raise NotImplementedError


def sign_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    request: Mapping[str, str],
    keyid: str,
    key: Secret[bytes],
    now: int,
) -> dict[str, str]:
    """Return the headers with Content-Digest, Signature-Input and Signature added; `request` are the request's."""
    raise NotImplementedError


def verify_response(
    status: int, headers: Mapping[str, str], body: bytes, request: Mapping[str, str], keys: PublicKeys, now: int
) -> Signed | Refused:
    """Return whose answer this is; a client that gets `Refused` must not believe a word of it."""
    raise NotImplementedError
