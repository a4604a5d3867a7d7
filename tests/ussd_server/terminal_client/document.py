"""The parts of docs/terminals.md that the code computes, so that what a terminal's engineer reads is true."""

import base64
import re
from pathlib import Path
from typing import Final

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals import problems, signatures

ROOT: Final = Path(__file__).parents[3]
DOCUMENT: Final = ROOT / "docs" / "terminals.md"

METHOD, URL = "POST", "https://terminals.example/v1/code-orders"
BODY = b'{"msisdn":"79101234567"}'
NOW = 1_763_881_200_000
HEADERS = {"Content-Type": "application/json", "Idempotency-Key": "order-0001"}
SIGNER = signatures.Signer("hall-1/5f0c9a1e", Secret(bytes(range(32))))
NONCE = "b2WvGgkd3oJ3dQ7N"


def problem_table() -> str:
    """Every problem there is."""
    rows = [
        f"| `{each.name}` | {each.status} | {each.title} | {each.mend} | {'yes' if each.again else ''} |"
        for each in problems.TYPES.values()
    ]
    return "\n".join(["| problem | status | what is wrong | what to do | again |", "|---|---|---|---|---|", *rows])


def example_request() -> str:
    """A signed request, as it is sent."""
    lines = [f"{name}: {value}" for name, value in _signed().items()]
    return "\n".join(
        ["```", "POST /v1/code-orders HTTP/1.1", "Host: terminals.example", *lines, "", BODY.decode(), "```"]
    )


def example_base() -> str:
    """What is signed of it."""
    headers = _signed()
    values = {f'"{name.lower()}"': value for name, value in headers.items()}
    values |= {'"@method"': METHOD, '"@authority"': "terminals.example", '"@target-uri"': URL}
    params = headers["Signature-Input"].removeprefix("sig1=")
    names = re.findall(r'"[^"]+"', params.partition(")")[0])
    base = signatures.signature_base(values, names, params)
    signature = headers["Signature"].removeprefix("sig1=:").removesuffix(":")
    assert _encoded(SIGNER.sign(base)) == signature
    return f"```\n{base.decode()}\n```"


def example_key() -> str:
    """The public key that verifies it."""
    return f"`{_encoded(SIGNER.public)}`"


def program() -> str:
    """The whole example."""
    return f"```python\n{(ROOT / 'examples' / 'terminal.py').read_text(encoding='utf-8')}```"


PARTS: Final = {
    "problems": problem_table,
    "request": example_request,
    "base": example_base,
    "key": example_key,
    "program": program,
}


def renewed(text: str) -> str:
    """Return the document with each computed part as it is now."""
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}: computed -->\n", f"\n<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"the document has no place for {name}")
        text = f"{before}{begin}{part()}{end}{after}"
    return text


def _signed() -> dict[str, str]:
    return signatures.sign_request(METHOD, URL, HEADERS, BODY, SIGNER, NOW, NONCE)


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
