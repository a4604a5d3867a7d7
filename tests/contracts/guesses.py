"""A server at which ten people guess one number's code at once: `python -m tests.contracts.guesses NAME PLACE FIRST`.

It says `ready`, waits for a line, and prints what each guess came to, as JSON. Guess n enters the code `n`, in eight
digits. Keys and times are the same in every such process, so several of them are servers of one service.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

import msgspec

from tests.contracts.stores import STORES
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.stores.base import Change, JournalEntry, KeptAnswer, Store
from ussd_server.subscribers.codes import Accepted, Reserved, reserve, settle

ANNA = "79100000001"
TERMINAL = "kiosk-1"
NOW = 1_790_000_000_000
AT_ONCE = 10


def vault() -> Vault:
    return Vault(Keyring().completed(NOW, random.Random(1).randbytes))


def code(guess: int) -> Secret[str]:
    return Secret(f"{guess:08}")


async def enter(store: Store, hasher: CodeHasher, guess: int) -> str:
    """Check one code as a request of a terminal does, and return what became of it.

    The journal is the ledger: a try that was taken, and how it went.
    """
    name = f"request-{guess}"
    while True:
        record, version = await store.load(ANNA, latest=True)
        outcome = reserve(record.access, name, NOW)
        if not isinstance(outcome, Reserved):
            return type(outcome).__name__
        taken = [JournalEntry(NOW, "taken", {"guess": guess})]
        if await store.commit(Change(version, msgspec.structs.replace(record, access=outcome.access), taken)):
            break
    right, _ = await hasher.check(outcome.sealed, code(guess), ANNA, outcome.generation)
    while True:
        record, version = await store.load(ANNA)
        settled = settle(record.access, name, right, NOW)
        verdict = type(settled.verdict).__name__
        went = JournalEntry(NOW, "right" if isinstance(settled.verdict, Accepted) else "wrong", {"guess": guess})
        answer = KeptAnswer(TERMINAL, name, b"fingerprint", verdict.encode(), NOW + 1)
        after = msgspec.structs.replace(record, access=settled.access)
        if await store.commit(Change(version, after, [went], answer=answer)):
            return f"verified: {verdict}"


async def main(name: str, place: str, first: int) -> None:
    store, hasher = STORES[name](Path(place)), CodeHasher(vault())
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    outcomes = await asyncio.gather(*(enter(store, hasher, guess) for guess in range(first, first + AT_ONCE)))
    print(json.dumps(outcomes))
    await hasher.close()
    await store.close()


if __name__ == "__main__":
    _, name, place, first = sys.argv
    asyncio.run(main(name, place, int(first)))
