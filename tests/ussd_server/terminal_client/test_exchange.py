"""What the client does where the way to the server, or the server, is bad."""

import asyncio
import ssl
from dataclasses import replace

import pytest
import structlog
import trustme
from nacl.public import PrivateKey

from tests.ussd_server.terminal_client.peer import (
    CODE,
    DROP,
    HANG,
    MSISDN,
    NOW,
    VISIT,
    Clock,
    Peer,
    Say,
    client_of,
    credentials,
    opened,
    problem,
    serving,
    signer,
    talk,
)
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import (
    Busy,
    Patience,
    Refused,
    TerminalClient,
    TerminalError,
    Unreachable,
    Untrusted,
    Visit,
)
from ussd_server.terminals.signatures import MAX_AGE_S

ORDERED = Say(202, {"status": "accepted", "more": [1, 2]})


# Sent again ---------------------------------------------------------------------------------------------------


@talk(DROP, DROP, ORDERED)
async def test_a_lost_answer_is_asked_for_under_the_same_key_signed_anew(there: Peer, client: TerminalClient) -> None:
    await client.order_code(MSISDN)
    assert len({each.key for each in there.seen}) == 1
    assert len({each.headers["Signature"] for each in there.seen}) == 3
    assert there.clock.slept == [0.25, 0.5]


@talk(DROP, opened())
async def test_a_check_whose_answer_was_lost_is_the_same_guess_in_another_box(
    there: Peer, client: TerminalClient
) -> None:
    assert isinstance(await client.open(MSISDN, CODE), Visit)
    first, second = map(there.entry, there.seen)
    assert first.code == second.code == CODE
    assert first.attempt == second.attempt == there.seen[0].key == there.seen[1].key
    assert first.iat < second.iat
    assert there.seen[0].message["entry"]["box"] != there.seen[1].message["entry"]["box"]


@pytest.mark.parametrize(
    "refused",
    [
        problem("unavailable", 3),
        problem("busy", 3),
        problem("internal", 3),
        problem("request-in-progress", 3),
        problem("check-in-progress", 3),
        problem("too-many-requests", 3),
        problem("nonce-used", 3),
        problem("too-slow", 3),
        Say(599, {"type": "/problems/of-a-later-version", "status": 599}, {"Retry-After": "3"}),
    ],
    ids=lambda say: str(say.status),
)
def test_what_may_pass_is_waited_for_as_long_as_the_server_says(refused: Say) -> None:
    @talk(refused, refused, ORDERED)
    async def test(there: Peer, client: TerminalClient) -> None:
        await client.order_code(MSISDN)
        assert there.clock.slept == [3.25, 3.5]
        assert len({each.key for each in there.seen}) == 1

    test()


@talk(Say(502, signers=[]), Say(503, {"from": "a proxy"}, signers=[]), Say(504, signers=[]), ORDERED)
async def test_a_proxy_that_has_no_server_is_no_answer(there: Peer, client: TerminalClient) -> None:
    await client.order_code(MSISDN)
    assert len(there.seen) == 4


@talk(Say(503, {}, {"Retry-After": "15"}, signers=[]), ORDERED)
async def test_nobody_but_the_server_says_how_long_to_wait(there: Peer, client: TerminalClient) -> None:
    await client.order_code(MSISDN)
    assert there.clock.slept == [0.25]


def test_a_server_that_does_not_answer_in_time_is_asked_again() -> None:
    async def run() -> None:
        there = Peer(Clock())
        async with serving(there), client_of(there, patience=Patience(0.4, 0.05, first=0.3, most=0.3)) as client:
            while len(there.seen) < 2:  # where the machine stands still, the time is over before it is asked
                there.seen.clear()
                there.script.extend([HANG, HANG])
                with pytest.raises(Unreachable, match="Timeout") as failed:
                    await client.order_code(MSISDN)
        assert [each.key for each in there.seen] == [failed.value.key] * 2

    asyncio.run(run())


def test_patience_ends_and_the_same_call_can_go_on() -> None:
    @talk(*[problem("unavailable", 1)] * 7, ORDERED)
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(Unreachable, match="unavailable") as failed:
            await client.order_code(MSISDN)
        assert failed.value.problem is not None
        assert failed.value.problem.name == "unavailable"
        # 1 s and a span that doubles up to 4 s, in 20 s: the next wait would end after that.
        assert there.clock.slept == [1.25, 1.5, 2.0, 3.0, 5.0, 5.0]
        await client.order_code(MSISDN, key=failed.value.key)
        assert {each.key for each in there.seen} == {failed.value.key}

    test()


def test_who_refuses_connections_is_unreachable() -> None:
    async def run() -> None:
        there = Peer(Clock())
        async with serving(there):
            client = client_of(there)
        async with client:
            with pytest.raises(Unreachable, match="no connection"):
                await client.order_code(MSISDN)
        assert 0 < sum(there.clock.slept) < 20

    asyncio.run(run())


@talk(*[problem("check-in-progress", 8)] * 3)
async def test_a_number_whose_tries_are_all_being_checked_stays_busy(there: Peer, client: TerminalClient) -> None:
    assert await client.open(MSISDN, CODE) == Busy()


@talk(problem("too-many-requests", 3600))
async def test_who_is_to_wait_an_hour_is_told_at_once(there: Peer, client: TerminalClient) -> None:
    with pytest.raises(Refused, match="too-many-requests") as refused:
        await client.order_code(MSISDN)
    assert refused.value.retry_after == 3600
    assert there.clock.slept == []


# Not sent again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refused",
    [
        problem("invalid-request", detail="$.msisdn"),
        problem("signature-late"),
        problem("key-unknown"),
        problem("terminal-quarantined"),
        problem("idempotency-key-reused"),
        Say(418, {"type": "https://example.com/problems/of-a-later-version", "kettle": True}),
    ],
    ids=lambda say: str(say.status),
)
def test_what_will_not_pass_is_refused_at_once(refused: Say) -> None:
    @talk(refused)
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(Refused) as failed:
            await client.order_code(MSISDN)
        assert failed.value.problem.status == refused.status
        assert failed.value.problem.name in str(failed.value)
        assert not failed.value.unsure
        assert there.clock.slept == []

    test()


@pytest.mark.parametrize(
    "first", [DROP, problem("unavailable"), problem("internal")], ids=["lost", "unavailable", "internal"]
)
def test_what_is_refused_after_an_answer_that_told_nothing_may_have_been_done(first: Say) -> None:
    @talk(first, problem("signature-late"))
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(Refused) as failed:
            await client.open(MSISDN, CODE)
        assert failed.value.unsure

    test()


@talk(problem("signature-late"))
async def test_what_is_refused_when_a_call_goes_on_may_have_been_done(there: Peer, client: TerminalClient) -> None:
    with pytest.raises(Refused) as failed:
        await client.open(MSISDN, CODE, key="k1")
    assert failed.value.unsure


# Not believed -------------------------------------------------------------------------------------------------

BAD = {
    "unsigned": Say(202, {}, signers=[]),
    "unsigned refusal": replace(problem("unavailable"), status=500, signers=[]),
    "redirect": Say(307, headers={"Location": "http://127.0.0.1:1/"}, signers=[]),
    "a stranger's": Say(202, {}, signers=[signer("stranger")]),
    "a stranger's under the server's name": Say(202, {}, signers=[signer("stranger", "signing-1")]),
    "another body": Say(202, {}, signed_body=b'{"status":"accepted"}'),
    "another request's": Say(202, {}, asked={"headers": {"Signature": "sig1=:AAAA:"}}),
    "no request's": Say(202, {}, asked={"headers": {}}),
    "to another method": Say(202, {}, asked={"method": "GET"}),
    "to another path": Say(202, {}, asked={"url": "http://127.0.0.1/v1/keys"}),
    "old": Say(202, {}, signed_at=NOW - MAX_AGE_S * 1000 - 1000),
    "of the future": Say(202, {}, signed_at=NOW + 60_000),
    "endless": Say(202, "x" * (1 << 20)),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_not_surely_the_servers_is_not_believed(answer: Say) -> None:
    @talk(answer)
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(Untrusted) as failed:
            await client.order_code(MSISDN)
        # Whether it was done is not known: it can be asked for again.
        assert failed.value.key == there.seen[0].key
        assert there.clock.slept == []

    test()


def test_a_server_of_another_certificate_is_not_spoken_to() -> None:
    async def run() -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        trusting, doubting = ssl.create_default_context(), ssl.create_default_context()
        authority.configure_trust(trusting)
        stranger.configure_trust(doubting)
        there = Peer(Clock())
        there.script.append(ORDERED)
        async with serving(there, tls):
            async with client_of(there, tls=doubting) as client:
                with pytest.raises(Untrusted, match="certificate"):
                    await client.order_code(MSISDN)
            assert there.seen == []
            async with client_of(there, tls=trusting) as client:
                await client.order_code(MSISDN)
            assert len(there.seen) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        Say(201, {"visit": VISIT}),
        Say(201, {"visit": VISIT, "idle_seconds": "long", "screen": {}}),
        Say(201),
        problem("code-rejected"),
        problem("code-rejected", attempts_left="two"),
        problem("access-locked"),
    ],
)
def test_an_answer_of_another_shape_is_said_to_be_one(answer: Say) -> None:
    @talk(answer)
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(TerminalError) as failed:
            await client.open(MSISDN, CODE)
        assert type(failed.value) is TerminalError

    test()


@pytest.mark.parametrize("status", [200, 201, 204, 304])
def test_an_answer_of_another_status_than_the_operations_is_not_taken_for_done(status: int) -> None:
    @talk(replace(ORDERED, status=status, body=None))
    async def test(there: Peer, client: TerminalClient) -> None:
        with pytest.raises(TerminalError, match=str(status)) as failed:
            await client.order_code(MSISDN)
        assert type(failed.value) is TerminalError

    test()


# The server's keys --------------------------------------------------------------------------------------------


@talk(ORDERED, ORDERED, ORDERED)
async def test_a_new_signing_key_is_learned_from_one_that_is_known(there: Peer, client: TerminalClient) -> None:
    old = credentials(there)
    await client.order_code(MSISDN)
    assert there.keys_asked == 0
    assert client.credentials == old
    there.signing.append(signer("signing-2"))
    await client.order_code(MSISDN)
    assert there.keys_asked == 1
    assert client.credentials.signing.keys() == {"signing-1", "signing-2"}
    # When the old one is retired the new one is known, so nothing is to be done; the next rotation forgets the old one.
    del there.signing[0]
    await client.order_code(MSISDN)
    assert there.keys_asked == 1


@talk(ORDERED)
async def test_a_key_that_was_retired_is_no_longer_believed(there: Peer, client: TerminalClient) -> None:
    there.signing.append(signer("signing-2"))
    await client.order_code(MSISDN)
    del there.signing[0]
    there.signing.append(signer("signing-3"))
    there.script.extend([ORDERED, Say(202, {}, signers=[signer("signing-1")])])
    await client.order_code(MSISDN)
    assert client.credentials.signing.keys() == {"signing-2", "signing-3"}
    with pytest.raises(Untrusted, match="key-unknown"):
        await client.order_code(MSISDN)


@talk(ORDERED)
async def test_keys_that_none_of_ours_has_signed_are_not_learned(there: Peer, client: TerminalClient) -> None:
    there.signing[:] = [signer("stranger")]
    with pytest.raises(Untrusted, match="key-unknown"):
        await client.order_code(MSISDN)
    assert client.credentials.signing.keys() == {"signing-1"}


@talk()
async def test_keys_that_are_none_are_not_learned(there: Peer, client: TerminalClient) -> None:
    key = {"id": "transport-9", "public": "c2hvcnQ=", "current": True}
    there.keys_script.append(Say(200, {"transport": [key], "signing": []}))
    with pytest.raises(TerminalError, match="transport-9"):
        await client.open(MSISDN, CODE)
    there.keys_script.append(Say(200, {"transport": [], "signing": []}))
    with pytest.raises(TerminalError, match="no transport key"):
        await client.open(MSISDN, CODE)


@talk(opened(), problem("transport-key-unknown"), opened())
async def test_a_transport_key_that_was_retired_is_replaced(there: Peer, client: TerminalClient) -> None:
    await client.open(MSISDN, CODE)
    there.transport["transport-2"] = PrivateKey(b"2" * 32)
    assert isinstance(await client.open(MSISDN, CODE), Visit)
    assert [each.message["entry"]["key"] for each in there.seen] == ["transport-1", "transport-1", "transport-2"]
    assert there.seen[1].key == there.seen[2].key == there.entry(there.seen[2]).attempt
    assert there.keys_asked == 2


@talk(problem("transport-key-unknown"))
async def test_a_transport_key_that_the_server_names_but_does_not_know_is_refused(
    there: Peer, client: TerminalClient
) -> None:
    with pytest.raises(Refused, match="transport-key-unknown"):
        await client.open(MSISDN, CODE)


@talk(*[opened()] * 5)
async def test_calls_side_by_side_fetch_the_keys_once(there: Peer, client: TerminalClient) -> None:
    await asyncio.gather(*(client.open(MSISDN, CODE) for _ in range(5)))
    assert there.keys_asked == 1


@talk()
async def test_keys_that_cannot_be_had_are_asked_for_within_the_same_patience(
    there: Peer, client: TerminalClient
) -> None:
    there.keys_script.extend([problem("unavailable", 8)] * 3)
    with pytest.raises(Unreachable):
        await client.open(MSISDN, CODE)
    assert there.keys_asked == 3


# What leaves no trace -----------------------------------------------------------------------------------------


def test_neither_code_nor_visit_nor_number_is_said() -> None:
    with structlog.testing.capture_logs() as said:

        @talk(
            DROP,
            problem("unavailable", 1),
            opened(),
            DROP,
            Say(599, {}),
            Say(200, {}),
            Say(503, signers=[]),
            *[DROP] * 20,
        )
        async def test(there: Peer, client: TerminalClient) -> None:
            visit = await client.open(MSISDN, CODE)
            assert isinstance(visit, Visit)
            with pytest.raises(TerminalError) as failed:
                await visit.balance()
            failures = [failed.value]
            with pytest.raises(TerminalError) as failed:
                await visit.enter("1")
            failures.append(failed.value)
            there.script.clear()
            shown = f"{visit!r} {client!r} {failures!r} {list(map(str, failures))} {said}"
            assert said
            for secret in (CODE.reveal(), VISIT, MSISDN, there.entry(there.seen[0]).nonce):
                assert secret not in shown

        test()


def test_a_client_is_used_within_its_with() -> None:
    async def run() -> None:
        there = Peer(Clock())
        there.url = "http://127.0.0.1:1"
        with pytest.raises(RuntimeError, match="async with"):
            await client_of(there).order_code(MSISDN)

    asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "terminals.example",
        "ftp://terminals.example",
        "https://",
        "https://user:pass@terminals.example",
        "https://terminals.example/v1",
        "https://terminals.example/?v=1",
        "https://terminals.example/#v1",
        "http://terminals.example",
        "http://192.0.2.7:8080",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    there = Peer(Clock())
    with pytest.raises(ValueError) as failed:
        TerminalClient(credentials(there), url)
    assert "pass" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Terminals.Example:443/", "https://terminals.example"),
        ("https://терминалы.example:8443", "https://xn--80ajjnchso2g.example:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_requests_are_signed_for_the_address_as_http_writes_it(url: str, origin: str) -> None:
    assert TerminalClient(credentials(Peer(Clock())), url).url == origin


def test_plain_http_to_another_machine_must_be_asked_for() -> None:
    there = Peer(Clock())
    assert TerminalClient(credentials(there), "http://server:8080", plain=True).url == "http://server:8080"


def test_a_code_that_can_be_none_is_not_sent() -> None:
    @talk()
    async def test(there: Peer, client: TerminalClient) -> None:
        for code in ("1" * 33, "пароль"):
            with pytest.raises(ValueError):
                await client.open(MSISDN, Secret(code))

    test()
