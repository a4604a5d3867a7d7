"""Which fault happens when. Pure: a seed gives the same plan each time."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "kill",
    "restart",
    "new key",
    "forget",
    "copy",
    "power cut",
    "pause",
    "cut link",
    "silent link",
    "slow link",
    "slow disk",
    "full disk",
    "clock step",
    "failover",
]

SERVER, SMSC, STORE, SUBSCRIBER, EVERYTHING = "server", "smsc", "store", "subscriber", "everything"

WEIGHTS: Final[Mapping[Kind, float]] = {
    "kill": 75,
    "restart": 5,
    "new key": 3,
    "forget": 4,
    "copy": 6,
    "power cut": 3,
    "pause": 6,
    "cut link": 6,
    "silent link": 3,
    "slow link": 4,
    "slow disk": 3,
    "full disk": 3,
    "clock step": 2,
    "failover": 10,
}
"""How often each kind is drawn. Kills are most of it: each finds the processes at another point of their work."""

SPANS_MS: Final[Mapping[Kind, tuple[int, int]]] = {
    "pause": (300, 6_000),
    "silent link": (1_000, 8_000),
    "slow link": (500, 6_000),
    "slow disk": (500, 5_000),
    "full disk": (300, 3_000),
    "clock step": (5_000, 40_000),
}
"""For how long each kind lasts; a step of the clock, how far it goes."""

STORE_OFTEN: Final = 4
"""How many times as often as another a store is hit: it is back in no time, and everybody is writing."""

FORGOTTEN: Final = 4
"""Who is forgotten is one of those who came last, of so many times as many as live at once: some are through."""

LONG_PAUSE: Final = 0.06
LONG_PAUSE_MS: Final = 34_000
"""Now and then a process stands still for longer than the lease on what it performs (30 s)."""


@dataclass(frozen=True)
class Fault:
    """`at` is ms after the load began; `which` numbers the server, or the store's process.

    Subscribers are counted from who came last.
    `span` is in ms, 0 where the kind has none.
    """

    at: int
    kind: Kind
    target: str
    which: int = 0
    span: int = 0

    def __str__(self) -> str:
        target = f"{self.target} {self.which + 1}" if self.target in (SERVER, STORE, SUBSCRIBER) else self.target
        return f"{self.kind} of {target}" + (f", {self.span} ms" if self.span else "")


@dataclass(frozen=True)
class Scene:
    """What there is to hinder: servers; processes of the store; people at once; which kinds cannot be done here.

    `even`: each kind is drawn as often as any other.
    """

    servers: int = 1
    stores: int = 0
    people: int = 1
    without: frozenset[Kind] = field(default_factory=frozenset)
    even: bool = False


def make(seed: int, seconds: float, faults: int, scene: Scene) -> list[Fault]:
    """Return so many faults spread at random over the time, by their time."""
    rng = random.Random(seed)
    at = sorted(rng.randrange(int(seconds * 1000)) for _ in range(faults))
    kinds = [kind for kind in WEIGHTS if kind not in scene.without]
    weights = [1 if scene.even else WEIGHTS[kind] for kind in kinds]
    return [_fault(rng, when, rng.choices(kinds, weights)[0], scene) for when in at]


def _fault(rng: random.Random, at: int, kind: Kind, scene: Scene) -> Fault:
    which = rng.randrange(scene.servers)
    span = rng.randint(*SPANS_MS[kind]) if kind in SPANS_MS else 0
    if kind == "clock step":
        return Fault(at, kind, SERVER, which, span * rng.choice((1, -1)))
    if kind == "failover":
        return Fault(at, kind, STORE)
    if kind in ("restart", "cut link", "silent link", "slow link"):
        return Fault(at, kind, SERVER, which, span)
    if kind == "pause" and rng.random() < LONG_PAUSE:
        return Fault(at, kind, SERVER, which, LONG_PAUSE_MS)
    if kind == "forget":
        return Fault(at, kind, SUBSCRIBER, rng.randrange(FORGOTTEN * scene.people))
    if kind in ("power cut", "new key", "copy"):
        return Fault(at, kind, EVERYTHING)
    targets = [SERVER, SMSC, *([STORE] * STORE_OFTEN if scene.stores else [])]
    if kind in ("slow disk", "full disk"):
        targets = [STORE if scene.stores else SERVER]
    target = rng.choice(targets)
    return Fault(at, kind, target, rng.randrange(scene.stores) if target == STORE else which, span)


def killed(fault: Fault, scene: Scene) -> int:
    """Return how many processes a fault kills."""
    if fault.kind == "kill":
        return 1
    return scene.servers + 1 + scene.stores if fault.kind == "power cut" else 0
