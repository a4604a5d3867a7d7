"""The service over a transmitter and a receiver, `bind=txrx`, at an SMSC that somebody else wrote.

That SMSC refuses a submit_sm on a receiver, and a test fails where one comes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import MENU, running
from tests.interop.conftest import Service
from tests.interop.node import NodeSmsc

pytestmark = pytest.mark.interop


@pytest.fixture
def two_links(node: NodeSmsc, tmp_path: Path) -> Iterator[Service]:
    """A server with the shipped flows, bound to node by two links."""
    with running(tmp_path, smsc=f"{node.url}?bind=txrx") as server:
        binds = [node.event("bind"), node.event("bind")]
        assert {bind["command"] for bind in binds} == {"bind_transmitter", "bind_receiver"}
        assert all(bind["granted"] for bind in binds)
        yield Service(server, node, tmp_path)
        assert server.terminate() == 0
        for _ in binds:
            node.event("closed")


def drop(service: Service, bind: str) -> None:
    """Cut one link and wait until its successor serves."""
    service.smsc.tell(do="drop", bind=bind)
    service.smsc.event("closed")
    again = service.smsc.event("bind")
    assert (again["command"], again["granted"]) == (bind, True)
    while service.server.ready()[0] != 200:  # node has granted it; the server may not have read that yet
        pass


def test_ussd_and_sms_go_both_ways(two_links: Service) -> None:
    """Activation, menus, an order and SMS work: what comes by the receiver is answered by the transmitter."""
    phone = two_links.phone()
    assert phone.text("2163", "111") == 0
    assert "подключён" in phone.inbox()
    assert phone.dial("*111#").op == MENU
    assert "Супер Ноль" in phone.answer("2").text
    phone.answer("1")
    assert "Останется" in phone.answer("1").text
    first = phone.answer("1")
    assert phone.redeliver().text == first.text
    assert "изменён" in phone.inbox()
    assert phone.text("111", "баланс") == 0
    assert "Баланс" in phone.inbox()
    assert not two_links.smsc.seen(lambda message: message.destination == phone.msisdn)


@pytest.mark.parametrize("bind", ["bind_receiver", "bind_transmitter"])
def test_either_link_may_be_lost_and_come_back(two_links: Service, bind: str) -> None:
    """A dialogue goes on over what comes back, an input that is repeated over it changes nothing, and SMS are sent."""
    phone = two_links.phone().activated()
    first = phone.walk("*111#", "2")
    drop(two_links, bind)
    if bind == "bind_receiver":
        phone.last["sequence"] = two_links.smsc.next_sequence()
    assert phone.redeliver().text == first.text
    assert "Супер Ноль: " in phone.answer("1").text
    assert phone.text("111", "баланс") == 0
    assert "Баланс" in phone.inbox()
