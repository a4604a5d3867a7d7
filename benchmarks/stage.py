"""What a terminals' benchmark finds there: a data directory with keys, terminals and numbers that have a code."""

import asyncio
import json
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey
from nacl.signing import SigningKey

from benchmarks.loadgen import FIRST_MSISDN
from ussd_server.secrecy import keys
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.vault import HASHING_THREADS, Vault, generate
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers import codes
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal, TerminalKey

DIGITS = 8
TERMINALS = 16
PERSONS_FROM = FIRST_MSISDN + 1_000_000
"""Numbers that no USSD dialogue of a benchmark uses: what is compared are loads, not collisions."""


@dataclass(frozen=True)
class Stage:
    """A data directory made ready, and the private half of it: what terminals and persons know."""

    data: Path
    content: dict[str, Any]

    def crowd(self, path: Path, host: str, port: int) -> Path:
        """Write the file for the load generator, now that the server's address is known."""
        path.touch(mode=0o600)
        path.write_text(json.dumps({"host": host, "port": port, **self.content}), encoding="utf-8")
        return path


def set_stage(data: Path, persons: int) -> Stage:
    """Make keys, `TERMINALS` terminals and so many numbers with a code, each as the product itself keeps them."""
    now = time.time_ns() // 1_000_000
    ring = keys.load_or_create(data, now).ring
    return asyncio.run(_fill(data, ring, persons, now))


async def _fill(data: Path, ring: Keyring, persons: int, now: int) -> Stage:
    store = SqliteStore(data / "ussd-server.db")
    vault = Vault(ring)
    numbers = [str(PERSONS_FROM + at) for at in range(persons)]
    known = [generate(DIGITS) for _ in numbers]
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        sealed = list(threads.map(vault.seal, known, numbers, [1] * persons))
    for msisdn, box in zip(numbers, sealed, strict=True):
        issued = codes.issue(codes.Access(), box, 1, now)
        assert isinstance(issued, codes.Issued)
        await store.commit(Change(0, Subscriber(msisdn, language="ru", activated_at=now, access=issued.access)))
    terminals = []
    for at in range(TERMINALS):
        private = SigningKey.generate()
        public = bytes(private.verify_key)
        terminal = Terminal(f"bench-{at}", f"Bench {at}", (TerminalKey("k1", public, now),), now)
        await store.commit_terminal(terminal, 0)
        terminals.append({"keyid": f"{terminal.id}/k1", "seed": b64encode(bytes(private)).decode()})
    await store.close()
    transport = ring.current("transport")
    return Stage(
        data,
        {
            "terminals": terminals,
            "persons": [{"msisdn": msisdn, "code": code.reveal()} for msisdn, code in zip(numbers, known, strict=True)],
            "transport": {"id": transport.id, "public": _text(PrivateKey(transport.secret.reveal()).public_key)},
            "signing": [
                {"id": key.id, "public": _text(SigningKey(key.secret.reveal()).verify_key)}
                for key in ring.keys
                if key.kind == "signing"
            ],
        },
    )


def _text(key: Any) -> str:
    return b64encode(bytes(key)).decode()
