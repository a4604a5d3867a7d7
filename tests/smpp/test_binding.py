"""Binds that come back, over loopback and on both event loops, and stay closed when they are stopped."""

import asyncio
import socket
from typing import Any

import pytest

from smpp.binding import Awaited, Backoff, Binding, Retrying
from smpp.constants import Status
from smpp.errors import CloseReason
from smpp.events import BindRefused, BindRequested, Bound, Closed, Delivered, Event, Lost, Responded
from smpp.link import Link, LinkSettings
from smpp.pdu import Outbind, Password, encode
from smpp.states import Role
from smpp.transport import Connection, connect
from tests.smpp.loopback import BIND, SUBMIT, Owner, Run, smsc, welcoming

AT_ONCE = Backoff(first_ms=0, most_ms=60_000, refused_ms=0)


def test_a_lost_bind_comes_back_and_stays_closed_after_stop(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.5, backoff=AT_ONCE)
        assert not binding.bound
        assert not binding.send(SUBMIT, "early")
        binding.start()
        await ours.wait_for(Bound)
        assert binding.bound
        theirs.connections[0].close()
        await ours.wait_for(Bound, 2)
        assert retries == [Retrying(CloseReason.CONNECTION_LOST.value, 0, 0, False)]
        assert binding.send(SUBMIT, "again")
        await ours.wait_for(Responded)
        await binding.stop()
        assert not binding.bound
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert len(retries) == 1
        await listener.close()

    run(scenario())


async def calls(port: int, outbind: Outbind) -> Owner:
    """Let the SMSC call and ask for a bind."""
    smsc = Owner(welcoming)
    connection = await connect("127.0.0.1", port, Link(Role.SMSC), smsc)
    assert connection._transport is not None
    connection._transport.write(encode(outbind))
    return smsc


def test_an_smsc_that_calls_with_the_right_outbind_gets_our_bind_and_no_other_does(run: Run[None]) -> None:
    async def scenario() -> None:
        right, wrong = (Outbind(system_id="SMSC", password=Password(word)) for word in ("theirs", "guessed"))
        ours = Owner()
        retries: list[Retrying] = []
        awaited = Awaited("127.0.0.1", 0, BIND, ours, retries.append, lambda: 0.5, admit=right.__eq__)
        awaited.start()
        while not awaited.port:
            await asyncio.sleep(0)
        assert not awaited.send(SUBMIT, "early")
        stranger = await calls(awaited.port, wrong)
        await stranger.wait_for(Closed)
        assert not any(isinstance(event, BindRequested) for event in stranger.events)
        smsc = await calls(awaited.port, right)
        await ours.wait_for(Bound)
        second = await calls(awaited.port, right)
        await second.wait_for(Closed)
        assert awaited.send(SUBMIT, "one")
        await ours.wait_for(Responded)
        smsc.connections[0].close()
        await ours.wait_for(Closed)
        assert not awaited.bound
        await calls(awaited.port, right)
        await ours.wait_for(Bound, 2)
        await awaited.stop()
        assert ours.events[-1] == Closed(CloseReason.UNBOUND)
        assert awaited.port == 0
        assert [(one.reason.partition(" ")[0], one.loud) for one in retries] == [
            ("waits", False),
            ("an", True),
            ("connection", False),
        ]

    run(scenario())


def test_stop_waits_for_what_is_under_way(run: Run[None]) -> None:
    async def scenario() -> None:
        def slow(connection: Connection, event: Event) -> None:
            if isinstance(event, Delivered):
                asyncio.get_running_loop().call_soon(connection.respond, event.pdu)
            else:
                welcoming(connection, event)

        ours = Owner()
        listener = await smsc(Owner(slow))
        binding = Binding("127.0.0.1", listener.port, BIND, ours, lambda retrying: None, lambda: 0.0)
        binding.start()
        await ours.wait_for(Bound)
        for number in range(25):
            binding.send(SUBMIT, number)
        await binding.stop()
        assert [event.tag for event in ours.events if isinstance(event, Responded)] == list(range(25))
        assert not [event for event in ours.events if isinstance(event, Lost)]
        await listener.close()

    run(scenario())


@pytest.mark.parametrize(
    ("status", "loud"),
    [
        (Status.RBINDFAIL, True),
        (Status.RINVPASWD, True),
        (Status.RINVSYSID, True),
        (Status.RINVSYSTYP, True),
        (Status.RALYBND, False),
        (Status.RSYSERR, False),
        (0x4FF, False),
    ],
)
def test_a_refusal_is_tried_again_and_is_loud_where_it_needs_a_person(run: Run[None], status: int, loud: bool) -> None:
    async def scenario() -> None:
        def refusing(connection: Connection, event: Event) -> None:
            if isinstance(event, BindRequested):
                connection.refuse(event.pdu, status)

        ours = Owner()
        retries: list[Retrying] = []
        listener = await smsc(Owner(refusing))
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.0, backoff=AT_ONCE)
        binding.start()
        await ours.wait_for(BindRefused, 2)
        await binding.stop()
        assert retries[0] == Retrying(CloseReason.BIND_REFUSED.value, status, 0, loud)
        await listener.close()

    run(scenario())


def test_an_unbind_of_the_smscs_is_a_reason_to_bind_again_after_a_while(run: Run[None]) -> None:
    async def scenario() -> None:
        theirs, ours = Owner(welcoming), Owner()
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        backoff = Backoff(first_ms=20)
        binding = Binding("127.0.0.1", listener.port, BIND, ours, retries.append, lambda: 0.5, backoff=backoff)
        binding.start()
        await theirs.wait_for(Bound)
        theirs.connections[-1].unbind()
        await theirs.wait_for(Bound, 2)
        await binding.stop()
        await listener.close()
        assert retries == [Retrying(CloseReason.UNBOUND_BY_PEER.value, 0, 10, False)]

    run(scenario())


def test_a_bind_that_was_given_up_for_want_of_messages_is_no_failure(run: Run[None]) -> None:
    """However often it happens, the next bind comes as soon as after the first time."""

    async def scenario() -> None:
        theirs = Owner(welcoming)
        retries: list[Retrying] = []
        listener = await smsc(theirs)
        settings, backoff = LinkSettings(inactivity_ms=10), Backoff(first_ms=20)
        binding = Binding(
            "127.0.0.1", listener.port, BIND, Owner(), retries.append, lambda: 0.5, settings, backoff=backoff
        )
        binding.start()
        await theirs.wait_for(Bound, 4)
        await binding.stop()
        await listener.close()
        assert {(retry.reason, retry.delay_ms) for retry in retries} == {(CloseReason.INACTIVE.value, 10)}

    run(scenario())


def test_nobody_listening_is_a_reason_to_try_again_and_stop_ends_the_wait(run: Run[None]) -> None:
    async def scenario() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            told = asyncio.Event()
            retries: list[Retrying] = []

            def on_retry(retrying: Retrying) -> None:
                retries.append(retrying)
                told.set()

            port = unused.getsockname()[1]
            backoff = Backoff(first_ms=60_000)
            binding = Binding("127.0.0.1", port, BIND, Owner(), on_retry, lambda: 0.9, backoff=backoff)
            binding.start()
            await told.wait()
            await binding.stop()
        assert [(retry.status, retry.delay_ms, retry.loud) for retry in retries] == [(0, 54_000, False)]
        assert "Errno" not in retries[0].reason
        assert "Connect" in retries[0].reason

    run(scenario())


@pytest.mark.parametrize(
    ("host", "server_name", "reason", "reported"),
    [
        ("smsc..example", None, "label empty or too long", 0),  # no resolver is asked for such a name
        ("127.0.0.1", "smsc.example", "server_hostname is only meaningful with ssl", 1),
    ],
)
def test_whatever_breaks_a_try_is_told_and_tried_again(
    host: str, server_name: str | None, reason: str, reported: int, run: Run[None]
) -> None:
    """What ended the task that keeps a bind would end the bind for good, and nobody would hear why."""

    async def scenario() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
        retries: asyncio.Queue[Retrying] = asyncio.Queue()
        binding = Binding(
            host, 1, BIND, Owner(), retries.put_nowait, lambda: 0.0, backoff=AT_ONCE, server_name=server_name
        )
        binding.start()
        for _ in range(2):
            assert reason in (await retries.get()).reason
        await binding.stop()
        assert len(reports) >= 2 * reported
        assert all(reason in str(report["exception"]) for report in reports)

    run(scenario())


@pytest.mark.parametrize(
    ("tries", "loud", "random", "delay_ms"),
    [
        (1, False, 0.0, 0),
        (1, False, 0.5, 500),
        (2, False, 0.5, 1_000),
        (7, False, 0.5, 30_000),
        (10_000, False, 0.999, 59_940),
        (1, True, 0.0, 150_000),
        (1, True, 0.5, 225_000),
    ],
)
def test_delays_double_up_to_a_limit_with_full_jitter(tries: int, loud: bool, random: float, delay_ms: int) -> None:
    assert Backoff().delay_ms(tries, loud, random) == delay_ms
