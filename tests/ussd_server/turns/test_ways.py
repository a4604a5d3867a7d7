"""A turn comes to the same whatever it must wait for: nothing but its commit, or each thing that it does."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from menus.session import Session
from smpp.reassembly import Mark, Part
from tests.ussd_server.turns.bench import Bench, play
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.sms import SMS
from ussd_server.stores.base import Change
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.record import Subscriber

NUMBERS = ("79100000001", "79100000002")
PDUS = st.integers(1, 6)

Said: TypeAlias = tuple[str, str, str, int]
"""Who does what: kind, text, number, and by which PDU."""

said = st.one_of(
    st.tuples(
        st.just("dial"), st.sampled_from(["*111#", "*100#", "*111*2163#", "*9#"]), st.sampled_from(NUMBERS), PDUS
    ),
    st.tuples(st.just("reply"), st.sampled_from(["1", "1", "2", "7", "0"]), st.sampled_from(NUMBERS), PDUS),
    st.tuples(st.sampled_from(["message", "part"]), st.sampled_from(["111", "x"]), st.sampled_from(NUMBERS), PDUS),
    st.tuples(st.sampled_from(["drop", "confirm"]), st.just(""), st.sampled_from(NUMBERS), PDUS),
)


def wait_for_each(at: Bench) -> None:
    """Let nothing be remembered, and every load, commit and query wait for the loop."""
    load, commit, ask = at.store.load, at.store.commit, at.tools.queries.ask

    async def slow_load(msisdn: str, latest: bool = False) -> Any:
        await asyncio.sleep(0)
        return await load(msisdn, latest)

    async def slow_commit(change: Change) -> bool:
        await asyncio.sleep(0)
        return await commit(change)

    async def slow_ask(*asked: Any) -> Any:
        await asyncio.sleep(0)
        return await ask(*asked)

    at.store.load = slow_load  # type: ignore[method-assign]
    at.store.commit = slow_commit  # type: ignore[method-assign]
    at.tools.queries.ask = slow_ask  # type: ignore[method-assign]


def input_of(at: Bench, kind: str, text: str, msisdn: str, pdu: int) -> Input:
    known: dict[str, Any] = {"msisdn": msisdn, "sequence": pdu}
    if kind == "part":
        part = Part(msisdn, "2163", Mark("udh8", 1, 2, 1 + pdu % 2), text.encode(), "gsm")
        return at.input("message", "", channel=SMS, number="2163", part=part, **known)
    if kind == "message":
        return at.input(kind, text, channel=SMS, number="2163", **known)
    return at.input(kind, text, accepted=bool(pdu % 2), **known)


def unquoted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values without the ids of quotes."""
    return {
        name: value | {"id": ""} if isinstance(value, dict) and "change" in value else value
        for name, value in values.items()
    }


def bare(session: Session) -> Session:
    """Return a session without what is drawn anew."""
    trail = tuple(replace(place, before=unquoted(place.before)) for place in session.trail)
    return replace(session, id="", values=unquoted(session.values), trail=trail)


def without_ids(record: Subscriber) -> list[Any]:
    """Return record and exchanges without what is drawn anew in every run: ids, and the digests' key."""
    sessions = {place: bare(session) for place, session in record.sessions.items()}
    exchanges = [replace(exchange, input=b"") for exchange in record.exchanges.values()]
    letters = b"sealed" if record.letters else b""
    return [replace(record, sessions=sessions, exchanges={}, pending={}, letters=letters), exchanges]


def outcome(lines: Sequence[tuple[bool, Sequence[Said]]], waits: bool) -> Any:
    """Say line by line, the inputs of each all at once, and return all that came of it.

    Before a line that says so another server changes both records.
    """
    came: list[Any] = []

    async def change_elsewhere(other: SqliteStore) -> None:
        for msisdn in NUMBERS:
            record, version = await other.load(msisdn, latest=True)
            assert await other.commit(Change(version, replace(record, language="" if record.language else "ru")))

    async def say(at: Bench, line: Sequence[Said]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        for index, (kind, text, msisdn, pdu) in enumerate(line):
            at.conversations.take(input_of(at, kind, text, msisdn, pdu), partial(answers.__setitem__, index))
        await at.conversations.finished()
        return [answers[index] for index in range(len(line))]

    async def story(at: Bench) -> None:
        if waits:
            wait_for_each(at)
        other = SqliteStore(Path(folder) / "store.db")
        for elsewhere, line in lines:
            if elsewhere:
                await change_elsewhere(other)
            came.append(await say(at, line))
            await at.outbox_rests()
            at.now += 1_000
        await other.close()
        for msisdn in NUMBERS:
            record, _ = await at.store.load(msisdn, latest=True)
            came.append((without_ids(record), await at.journal(msisdn)))
        came.append({key: count for key, count in at.metrics.turns.items() if key[1] != "conflict"})
        came.append((sorted(at.network.sms), at.admission.waiting, at.conversations.under_way))

    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), story)
    return came


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(said, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_a_turn_that_waits_for_all_comes_to_the_same_as_one_that_waits_for_its_commit(
    lines: list[tuple[bool, list[Said]]],
) -> None:
    assert outcome(lines, waits=True) == outcome(lines, waits=False)
