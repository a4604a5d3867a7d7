"""The Lua scripts of the Redis store: each is a change that happens as a whole or not at all.

A script that begins with `-- with NAME...` has what is in each NAME in front of it: functions, and the fence, by which
it changes nothing in a store that is fenced.
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
    "mend",
    "nonces",
    "note_keys",
    "open",
    "over",
    "point",
    "pointers_to",
    "postpone",
    "records",
    "relist",
    "renew",
    "restore",
    "settle",
    "sweep_nonces",
    "tidy",
    "unpoint",
    "use_nonce",
)


@dataclass(frozen=True)
class Script:
    """A script as it is loaded, and the SHA-1 that Redis knows it by, as hexadecimal digits.

    One that is `fenced` takes the key of a fence as its last argument.
    """

    name: str
    source: bytes
    sha: bytes
    fenced: bool


def _read(name: str) -> Script:
    folder = files("ussd_server.stores.redis") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    found = re.match(r"-- with (.+)\n", text)
    shared = found[1].split() if found else []
    source = "".join([(folder / f"{each}.lua").read_text(encoding="utf-8") for each in shared] + [text]).encode()
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest().encode(), "fence" in shared)


EVERY_SCRIPT: Final = {name: _read(name) for name in _NAMES}
"""Every script by its name."""
