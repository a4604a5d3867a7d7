"""A server whose disk cannot keep up turns away what is new, politely and at once; dialogues go on to their end.

The disk is slowed as another process does it: by holding the database's write lock.
"""

import json
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from smpp.constants import Status
from tests.acceptance.conftest import Service
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import BEGIN, END, MENU, PATIENCE_S, Phone, Submitted, running

CROWD = 300

_START = """
from ussd_server.cli import main
from ussd_server.stores.sqlite import groups
groups.LOCK_TRIES = 1_000_000
main()
"""
PATIENT = (sys.executable, "-c", _START)
"""A server whose store waits for the lock for as long as the test holds it, in place of two seconds."""

_strangers = count(79_100_700_001)


@contextmanager
def held(data: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of a server's database, until a ROLLBACK."""
    with closing(sqlite3.connect(data / "ussd-server.db", timeout=PATIENCE_S, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield database


def polite(message: Submitted) -> bool:
    return "много запросов" in message.text and message.op == END


def menu(message: Submitted) -> bool:
    return message.op == MENU


def begin(gateway: Gateway, many: int) -> int:
    """Have so many strangers dial at once, without waiting for what comes; returns how many that were."""
    phones = [Phone(gateway, str(next(_strangers)), session=1) for _ in range(many)]
    gateway.send_together(phone.ussd_fields("*111#", BEGIN) for phone in phones)
    return many


def overload(gateway: Gateway) -> int:
    """Have strangers dial while the disk is held until one of them is turned away; returns how many did."""
    begun = begin(gateway, CROWD)
    while not gateway.seen(polite):
        begun += begin(gateway, 1)
        gateway.barrier()
    return begun


def ask_for_a_visit(service: Service) -> tuple[int, str | None, str]:
    """Return status, Retry-After and the name of the problem that a terminal is told."""
    url = f"http://127.0.0.1:{service.server.http_port}/v1/visits"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, None, ""
    except urllib.error.HTTPError as error:
        with error:
            problem = json.loads(error.read())
            return error.code, error.headers["Retry-After"], problem["type"].rpartition("/")[2]


def test_what_is_new_is_turned_away_while_dialogues_go_on_and_then_all_is_as_before(
    gateway: Gateway, tmp_path: Path
) -> None:
    with running(tmp_path, smsc=gateway.url, command=PATIENT) as server:
        gateway.accept()
        service = Service(server, gateway, tmp_path)
        inside, writer = service.phone().activated(), service.phone()
        assert menu(inside.dial("*111#"))
        assert ask_for_a_visit(service)[0] == 401  # not signed, but looked at

        with held(tmp_path) as disk:
            begun = overload(gateway)
            service.server.wait_for_log("overload, what is new is refused", "limit")
            assert ask_for_a_visit(service) == (503, "5", "busy")
            assert writer.text("111", "1") == Status.RTHROTTLED
            answered = gateway.send(inside.ussd_fields("2", 0x12))
            disk.execute("ROLLBACK")
        assert gateway.response(answered) == Status.ROK
        assert "Тарифы" in inside.screen().text
        served = turned_away = 0
        while served + turned_away < begun:
            shown = gateway.expect("a stranger's screen", lambda message: message.destination.startswith("791007"))
            served, turned_away = served + menu(shown), turned_away + polite(shown)
        assert served
        assert turned_away
        assert service.server.metric("ussd_server_shed_total", kind="under_way") == 0
        assert service.server.metric("ussd_server_shed_total", kind="dialogue") == turned_away

        until_served(gateway)
        for _ in range(20):
            assert menu(Phone(gateway, str(next(_strangers))).dial("*111#"))
        assert service.server.ready()[0] == 200
        assert ask_for_a_visit(service)[0] == 401
        assert writer.text("111", "1") == Status.ROK


def until_served(gateway: Gateway) -> None:
    """Have strangers dial until one gets the menu."""
    deadline = time.monotonic() + PATIENCE_S
    while not menu(Phone(gateway, str(next(_strangers))).dial("*111#")):
        assert time.monotonic() < deadline, "it does not recover"
