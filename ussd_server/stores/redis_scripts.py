"""The Lua scripts of the Redis store: each is a change that happens as a whole or not at all.

A script that begins with `-- with NAME...` has the functions of each NAME in front of it.
"""

import re
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

_NAMES: Final = (
    "bury",
    "claim",
    "commit",
    "commit_terminal",
    "dump",
    "forget",
    "forget_answer",
    "forget_pointers",
    "look",
    "nonces",
    "note_keys",
    "open",
    "over",
    "point",
    "postpone",
    "records",
    "renew",
    "restore",
    "settle",
    "sweep_nonces",
    "tidy",
    "unpoint",
)


@dataclass(frozen=True)
class Script:
    """A script as it is loaded, and the SHA-1 that Redis knows it by, as hexadecimal digits."""

    name: str
    source: bytes
    sha: bytes


def _read(name: str) -> Script:
    folder = files("ussd_server.stores") / "scripts"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    if found := re.match(r"-- with (.+)\n", text):
        text = "".join((folder / f"{each}.lua").read_text(encoding="utf-8") for each in found[1].split()) + text
    source = text.encode()
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest().encode())


EVERY_SCRIPT: Final = {name: _read(name) for name in _NAMES}
"""Every script by its name."""
