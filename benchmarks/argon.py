"""The yardstick of code checks: bare argon2id, same parameters, same number of threads, nothing else.

Takes one JSON command a line on standard input, `{"seconds": 3}`, and answers each by `{"rate": 88.1, "ms": 22.6}`:
hashes a second over all threads, and how long one took.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import nacl.pwhash.argon2id
import nacl.utils

from ussd_server.secrecy.vault import ARGON2_MEMORY, ARGON2_PASSES, HASH_SIZE, HASHING_THREADS, SALT_SIZE

CODE = b"04711815"


def _hash_until(deadline: float) -> int:
    salt = nacl.utils.random(SALT_SIZE)
    count = 0
    while perf_counter() < deadline:
        nacl.pwhash.argon2id.kdf(HASH_SIZE, CODE, salt, opslimit=ARGON2_PASSES, memlimit=ARGON2_MEMORY)
        count += 1
    return count


def measure(seconds: float) -> dict[str, float]:
    """Hash for so long on every thread."""
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        began = perf_counter()
        counts = list(threads.map(_hash_until, [began + seconds] * HASHING_THREADS))
        took = perf_counter() - began
    rate = sum(counts) / took
    return {"rate": round(rate, 2), "ms": round(HASHING_THREADS / rate * 1000, 2)}


def main() -> None:
    """Measure whenever standard input says so."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line)["seconds"])), flush=True)


if __name__ == "__main__":
    main()
