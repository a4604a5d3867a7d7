"""Pushes that are queued, and what a subscriber, time and consent make of them."""

from zoneinfo import ZoneInfo

from tests.ussd_server.turns.bench import MSISDN, Bench
from ussd_server.outbox.pushes import Manners
from ussd_server.stores.base import Change
from ussd_server.turns import pushes
from ussd_server.turns.pushes import PushOrder
from ussd_server.turns.quiet import MINUTE_MS

TEN_MIN = 10 * MINUTE_MS
TIMER_MS = Manners().timer_ms
MOSCOW = ZoneInfo("Europe/Moscow")


async def queue(at: Bench, text: str = "", screen: str = "", id: str = "p1", **order: object) -> bool:
    """Queue a push as the command line does, a service's unless told otherwise."""
    usual = {"until": at.now + TEN_MIN, "category": "service"}
    wanted = PushOrder(text=text, screen=screen, **(usual | order))  # type: ignore[arg-type]
    record, version = await at.store.load(MSISDN)
    queued = pushes.queue(record, wanted, id, at.now, at.now)
    if queued is None:
        return False
    assert await at.store.commit(Change(version, record, outbox=queued.outbox, journal=queued.journal))
    at.outbox.wake()
    return True


async def consent(at: Bench, wants: bool) -> None:
    record, version = await at.store.load(MSISDN)
    changed, note = pushes.with_consent(record, wants, "test", at.now)
    assert await at.store.commit(Change(version, changed, journal=[note]))


async def shown(at: Bench, amount: int = 1) -> None:
    """Wait until so many pushes are with the phone."""
    await at.until(lambda: len(at.network.pushed) >= amount)
    await at.until(lambda: at.outbox.under_way == 0)


async def waits(at: Bench, amount: int = 1) -> None:
    """Wait until a push was put off so many times."""
    await at.until(lambda: at.metrics.outbox["push", "later"] >= amount and at.outbox.under_way == 0)


async def ended(at: Bench, kind: str, result: str) -> None:
    """Wait until a push has ended so, with nothing left of it."""
    await at.until(lambda: at.metrics.pushes[kind, result] == 1)
    assert sum(at.metrics.pushes.values()) == 1
    (note,) = await at.store.journal(MSISDN, "push ended")
    assert (note.data["push"], note.data["kind"], note.data["result"]) == ("p1", kind, result)
    assert await at.store.next_due() is None
    assert (await at.store.load(MSISDN))[0].push is None


async def confirm(at: Bench, **changed: object) -> None:
    assert (await at.take(at.input("confirm", "", **changed))).text is None  # type: ignore[arg-type]


async def pass_time(at: Bench, ms: int) -> None:
    at.now += ms
    at.outbox.wake()
