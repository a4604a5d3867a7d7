"""A terminal's keys and a server's, and requests that the terminal signed."""

import dataclasses
from collections.abc import Mapping
from typing import Final

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
