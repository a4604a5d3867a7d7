"""What can be said of a flow without running it: what is reached, what never stops, and which values are there.

A *way* leads from a node to another and may bind values. Values are there at a node when every way to it binds them
(definite assignment, as for local variables in Java or Swift), so no screen can miss one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from menus.machine import START
from menus.registry import Shape, Word
from menus.source import Path

Shapes: TypeAlias = Mapping[str, Shape | Word]


@dataclass(frozen=True)
class Way:
    """A way from a node to another. `immediate`: it is taken without a screen in between; `path` is where it stands."""

    source: str
    target: str
    path: Path
    binds: Shapes = field(default_factory=dict)
    immediate: bool = False


def reached(ways: Iterable[Way], begins: Collection[str]) -> set[str]:
    """Return all nodes that can be come to from these."""
    onward: dict[str, set[str]] = defaultdict(set)
    for way in ways:
        onward[way.source].add(way.target)
    found, waiting = set(begins), list(begins)
    while waiting:
        for target in onward[waiting.pop()] - found:
            found.add(target)
            waiting.append(target)
    return found


def stuck(ways: Iterable[Way], nodes: Collection[str], exits: Collection[str]) -> set[str]:
    """Return the nodes from which no exit can be reached."""
    backward = [Way(way.target, way.source, way.path) for way in ways]
    return set(nodes) - reached(backward, exits)


def loop(ways: Iterable[Way]) -> tuple[str, ...]:
    """Return nodes that lead to each other without a screen, () where there are none."""
    onward: dict[str, list[str]] = defaultdict(list)
    for way in ways:
        if way.immediate:
            onward[way.source].append(way.target)
    done: set[str] = set()
    for start in list(onward):
        trail, iterators = [start], [iter(onward[start])]
        while iterators:
            target = next(iterators[-1], None)
            if target is None:
                done.add(trail.pop())
                iterators.pop()
            elif target in trail:
                return (*trail[trail.index(target) :], target)
            elif target not in done:
                trail.append(target)
                iterators.append(iter(onward.get(target, ())))
    return ()


def longest(ways: Iterable[Way]) -> tuple[str, int]:
    """Return from which node most steps may be made without a screen, and how many; there must be no loop."""
    onward: dict[str, list[str]] = defaultdict(list)
    for way in ways:
        if way.immediate:
            onward[way.source].append(way.target)
    steps: dict[str, int] = {}
    for start in list(onward):
        waiting = [start]
        while waiting:
            node = waiting[-1]
            left = [target for target in onward.get(node, ()) if target not in steps]
            if left:
                waiting += left
            else:
                steps[waiting.pop()] = 1 + max((steps[target] for target in onward.get(node, ())), default=0)
    return max(((node, count) for node, count in steps.items()), key=lambda pair: pair[1], default=("", 0))


@dataclass(frozen=True)
class Bound:
    """The values at a node: those that are there on every way (`always`), and on some way (`sometimes`)."""

    always: Shapes
    sometimes: frozenset[str]


def bound(
    ways: Sequence[Way], nodes: Collection[str], home: str, secrets: Collection[str], keeps_secrets: Collection[str]
) -> Mapping[str, Bound]:
    """Return which values are there when a node is come to.

    Home is entered with none. A secret is lost after every node but those of `keeps_secrets`. A name that is one thing
    on one way and another on the next is not there at all.
    """
    always: dict[str, Shapes | None] = dict.fromkeys(nodes)
    sometimes: dict[str, set[str]] = {node: set() for node in nodes}
    onward: dict[str, list[Way]] = defaultdict(list)
    for way in ways:
        onward[way.source].append(way)
    always[home] = {}
    waiting = [START, home]
    always[START], sometimes[START] = {}, set()
    while waiting:
        node = waiting.pop()
        here = always[node] or {}
        lost = () if node in keeps_secrets else secrets
        for way in onward[node]:
            if way.target not in sometimes:
                continue
            brought = {**{name: shape for name, shape in here.items() if name not in lost}, **way.binds}
            before = always[way.target]
            after = brought if before is None else _common(before, brought)
            some = sometimes[way.target] | sometimes[node] | set(brought)
            if after != before or some != sometimes[way.target]:
                always[way.target], sometimes[way.target] = after, some
                waiting.append(way.target)
    return {node: Bound(always[node] or {}, frozenset(sometimes[node])) for node in nodes}


def _common(left: Shapes, right: Shapes) -> Shapes:
    found: dict[str, Shape | Word] = {}
    for name in left.keys() & right.keys():
        one, other = left[name], right[name]
        if one == other:
            found[name] = one
        elif isinstance(one, Word) and isinstance(other, Word):
            found[name] = Word(one.words | other.words)
    return found
