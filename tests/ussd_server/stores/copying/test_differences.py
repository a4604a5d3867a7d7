"""Whatever differs between two stores is found, and named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ussd_server.stores.copying.two import NUMBERS, T0, Wrapped, between, copy, differences, furnish
from ussd_server.stores.base import Change, Everything, Store
from ussd_server.stores.moving import CopyError, reopen
from ussd_server.subscribers.record import Subscriber
from ussd_server.terminals.record import Terminal

Plant = Callable[[Everything], Everything]


def _outbox(whole: Everything, **changed: Any) -> Everything:
    first, *rest = whole.outbox
    return replace(whole, outbox=[replace(first, **changed), *rest])


PLANTS: dict[str, Plant] = {
    "record": lambda whole: replace(whole, record=replace(whole.record, language="en")),
    "journal": lambda whole: replace(whole, journal=whole.journal[:-1]),
    "journal, in another order": lambda whole: replace(whole, journal=whole.journal[::-1]),
    "outbox": lambda whole: replace(whole, outbox=whole.outbox[1:]),
    "outbox, in another order": lambda whole: replace(whole, outbox=whole.outbox[::-1]),
    "outbox, other attempts": lambda whole: _outbox(whole, attempt=7),
    "outbox, another reason": lambda whole: _outbox(whole, reason="other"),
    "outbox, another time": lambda whole: _outbox(whole, ready=T0 + 77),
    "outbox, another text": lambda whole: _outbox(whole, entry=replace(whole.outbox[0].entry, data={"text": "F"})),
    "outbox, tried before": lambda whole: _outbox(whole, entry=replace(whole.outbox[0].entry, tried=1)),
    "dead letters": lambda whole: replace(whole, dead_letters=[]),
    "dead letters, another time": lambda whole: replace(
        whole, dead_letters=[replace(each, expires=1) for each in whole.dead_letters]
    ),
    "answers": lambda whole: replace(whole, answers=[]),
    "answers, another body": lambda whole: replace(
        whole, answers=[replace(each, body=b"other") for each in whole.answers]
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_difference_of_one_subscriber_is_found_and_named(plant: str, tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        whole = await target.dump(NUMBERS[7])
        assert whole
        await target.restore(PLANTS[plant](whole))
        assert await differences(source, target) == [f"7910***0007 has another {plant.split(',')[0]}"]
        assert await differences(target, source) == [f"7910***0007 has another {plant.split(',')[0]}"]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_what_is_missing_or_too_much_is_found(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)
        await copy(source, target)
        await target.forget(NUMBERS[3])
        assert await differences(source, target) == ["7910***0003 is missing"]
        assert await differences(target, source) == ["7910***0003 is not in the old store"]
        assert await target.commit(Change(0, Subscriber("447700900123")))
        assert await differences(source, target) == ["7910***0003 is missing", "4477***0123 is not in the old store"]
        await reopen(source, "the old store")
        await source.forget(NUMBERS[3])
        await target.forget("447700900123")
        assert await differences(source, target) == []
        terminal, version = await target.load_terminal("kiosk-1")
        assert terminal
        assert await target.commit_terminal(replace(terminal, name="outside"), version)
        assert await target.commit_terminal(Terminal("kiosk-9", "new"), 0)
        assert await source.use_nonce("kiosk-1", "another", T0 + 1)
        assert await differences(source, target) == [
            "the terminal kiosk-9 is not in the old store",
            "the terminal kiosk-1 is another",
            "a nonce of the terminal kiosk-1 is missing",
        ]

    between(("sqlite", "sqlite"), tmp_path, body)


def test_a_store_that_does_not_hold_what_is_written_is_found_out(tmp_path: Path) -> None:
    async def body(source: Store, target: Store) -> None:
        await furnish(source)

        async def lose(everything: Everything, brought: bool) -> tuple[Everything]:
            return (replace(everything, journal=everything.journal[1:]),)

        with pytest.raises(CopyError, match=r"does not hold what was written: .* has another journal; .*; and 6 more"):
            await copy(source, Wrapped(target, restore=lose))  # type: ignore[arg-type]
        assert await target.mark() == "copied from the old store"

    between(("sqlite", "sqlite"), tmp_path, body)
