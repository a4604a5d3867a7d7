"""`/healthz` says that the process lives; `/readyz` gives every reason why it cannot serve."""

import asyncio
import json
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ussd_server.http.listener import Listener, application
from ussd_server.metrics import Metrics
from ussd_server.readiness import Readiness
from ussd_server.settings import Address


def fetch(
    path: str, reasons: Mapping[str, str], metrics: Metrics | None = None, ways: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Start a listener of its own, get one page from it over HTTP, and stop it: status, content type, body."""

    async def checks() -> Readiness:
        return Readiness(reasons, ways or {})

    def get(url: str) -> tuple[int, str, str]:
        try:
            with urlopen(url) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    async def once() -> tuple[int, str, str]:
        listener = Listener(application(checks, metrics or Metrics()), Address("127.0.0.1", 0))
        await listener.start()
        try:
            return await asyncio.to_thread(get, f"http://{listener.address}{path}")
        finally:
            await listener.stop()

    return asyncio.run(once())


def test_a_server_without_pages_says_what_there_is() -> None:
    status, kind, body = fetch("/", {})
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert path in body


def test_alive_whatever_is_not_ready() -> None:
    status, _, body = fetch("/healthz", {"store": "gone"})
    assert (status, json.loads(body)) == (200, {"alive": True})


@pytest.mark.parametrize(
    ("store", "ways", "status", "degraded"),
    [
        ("", {"smpp://one": "", "smpp://two": ""}, 200, False),
        # Another server would not be bound there either, and this one serves all that come by the other.
        ("", {"smpp://one": "wrong password (status 0x0000000E)", "smpp://two": ""}, 200, True),
        ("", {"smpp://one": "not bound yet", "smpp://two": "not bound yet"}, 503, False),
        ("", {"smpp://one": "not bound yet"}, 503, False),
        ("", {}, 200, False),
        ("it is away", {"smpp://one": ""}, 503, False),
    ],
)
def test_ready_while_something_is_served_with_the_reason_why_not_all(
    store: str, ways: Mapping[str, str], status: int, degraded: bool
) -> None:
    code, kind, body = fetch("/readyz", {"store": store}, ways=ways)
    assert (code, kind) == (status, "application/json; charset=utf-8")
    assert json.loads(body) == {
        "ready": status == 200,
        "degraded": degraded,
        "checks": {"store": store or "ok", **{name: reason or "ok" for name, reason in ways.items()}},
    }


def test_what_only_should_be_well_is_told_where_it_is_not_and_changes_nothing() -> None:
    wrong = Readiness({"store": ""}, {}, {"clock": "7.5 s ahead"})
    assert (wrong.ready, wrong.degraded, wrong.reasons) == (True, False, {"store": "", "clock": "7.5 s ahead"})
    right = Readiness({"store": ""}, {}, {"clock": ""})
    assert (right.ready, right.reasons) == (True, {"store": ""})


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.turns["ussd", "answered"] += 3
    status, kind, body = fetch("/metrics", {}, metrics)
    assert status == 200
    assert kind.startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["ussd_server_turns"].samples[0].value == 3
    assert "process_resident_memory_bytes" in families


def test_an_address_in_use_is_an_os_error() -> None:
    async def twice() -> None:
        async def checks() -> Readiness:
            return Readiness({})

        first = Listener(application(checks, Metrics()), Address("127.0.0.1", 0))
        await first.start()
        try:
            with pytest.raises(OSError):
                await Listener(application(checks, Metrics()), first.address).start()
        finally:
            await first.stop()

    asyncio.run(twice())
