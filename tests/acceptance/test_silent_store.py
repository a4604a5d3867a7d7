"""A Redis that stands still for longer than it is waited for does what it was sent when it goes on.

So who agreed to an order meanwhile may not read that nothing was charged.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests import redis_servers
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import Phone, running
from tests.chaos import screens

WEALTHY = "79100000004"  # the shipped catalogue gives this number 1500 roubles


def test_an_order_that_redis_was_sent_and_did_not_answer_is_not_denied(gateway: Gateway, tmp_path: Path) -> None:
    """Its subscriber reads that nobody knows; it is placed and charged, and its receipt comes by SMS."""
    with redis_servers.running() as redis, running(tmp_path, "--store", redis.url, smsc=gateway.url) as server:
        gateway.accept()
        phone = Phone(gateway, WEALTHY).activated()
        assert "90 руб." in phone.walk("*111*2*2#", "1").text.replace("\N{NO-BREAK SPACE}", " ")
        redis.pause()
        asked = phone.answer("1")
        assert screens.fits(asked.text, "unsure"), asked.text
        assert asked.ends
        refused = phone.dial("*111#")  # by then there is no connection that it could be sent by
        assert screens.fits(refused.text, "broken"), refused.text
        redis.go_on()
        assert screens.is_receipt(phone.inbox())
        with closing(sqlite3.connect(tmp_path / "operator.db")) as books:
            bought = books.execute("SELECT offering, status, price FROM purchase WHERE msisdn = ?", (WEALTHY,))
            assert bought.fetchall() == [("red-energy", "completed", 9_000)]
        assert server.metric("ussd_server_turns_total", channel="ussd", result="refused") == 2
