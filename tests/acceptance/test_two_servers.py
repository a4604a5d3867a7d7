"""Two servers on one Redis are one service: any takes the next step, and what comes at once is done one by one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from smpp.events import Delivered, Event, Responded
from smpp.transport import Connection
from tests import redis_servers
from tests.acceptance.gateway import make_message, submitted
from tests.acceptance.harness import PATIENCE_S, ServerProcess
from tests.acceptance.harness import Phone as Fields
from tests.acceptance.switch import Phone, Said, Switch
from ussd_server import store_url
from ussd_server.stores.opening import open_store

ANNA = "79100001000"
NUMBERS = [str(79100001001 + number) for number in range(10)]
TEXTS = {"баланс": "Баланс", "мой тариф": "Тариф сегодня", "мои услуги": "Мои услуги", "помощь": "Отправьте на 111"}
"""What is sent, and how the SMS begins that answers it."""


class Office(Switch):
    """A switch that keeps the SMS that it is given, and counts by which link screens came."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.texts: Counter[tuple[str, str]] = Counter()
        self.links: Counter[Connection] = Counter()
        self.responses = 0
        self.news = asyncio.Event()

    def _on_event(self, connection: Connection, event: Event) -> None:
        super()._on_event(connection, event)
        if isinstance(event, Responded) and isinstance(event.tag, Said):
            self.responses += 1
        if isinstance(event, Delivered):
            shown = submitted(event.pdu)
            if shown.op is None:
                self.texts[shown.destination, shown.text] += 1
            else:
                self.links[connection] += 1
        self.news.set()

    async def until(self, true: object) -> None:
        """Wait for something to come true."""
        assert callable(true)
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def service(data: Path) -> AsyncIterator[tuple[Office, str]]:
    """Run two servers on one Redis, both bound to one office."""
    with redis_servers.running() as redis:
        async with Office(Random(7)) as office:
            options = ("--store", redis.url, "--require-durable")
            servers = [ServerProcess(data, *options, smsc=office.url)]
            try:
                await office.until(lambda: len(office.bound) == 1)  # the first makes the keys
                servers.append(ServerProcess(data, *options, smsc=office.url))
                await office.until(lambda: len(office.bound) == 2)
                yield office, redis.url
            finally:
                for server in servers:
                    await asyncio.to_thread(server.close)
                    print(server.log)


def test_the_steps_of_one_dialogue_go_through_both(tmp_path: Path) -> None:
    async def main() -> None:
        async with service(tmp_path) as (office, _):
            phone = Phone(office, ANNA)
            await phone.walk("*111*2163#")
            screens = await phone.walk("*111#", "2", "1", "00", "5", "1")
            for _ in range(5):
                assert await phone.walk("*111#", "2", "1", "00", "5", "1") == screens
            assert len(office.links) == 2
            assert office.refused == []

    asyncio.run(main())


def test_what_one_subscriber_sends_to_both_at_once_is_done_one_by_one_and_none_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with service(tmp_path) as (office, store):
            for number in NUMBERS:
                await Phone(office, number).walk("*111*2163#")
            said, before = [], office.responses
            for number in NUMBERS:
                for index, text in enumerate(TEXTS):
                    fields = Fields(office, number)  # type: ignore[arg-type]
                    octets = text.encode("utf-16-be")
                    message = make_message(fields.sms_fields("111", short_message=octets, data_coding=8))
                    said.append(Said(message, office.bound[index % 2], 1))
            for each in said:
                assert each.by is not None
                assert each.by.send(each.message, each)
            await office.until(lambda: office.responses == before + len(said))
            await office.until(lambda: len(answered(office)) == len(NUMBERS) * len(TEXTS))
            assert office.refused == []
            await all_are_counted(store)

    asyncio.run(main())


def answered(office: Office) -> set[tuple[str, str]]:
    """Return which number had which answer."""
    return {(number, begins) for number, text in office.texts for begins in TEXTS.values() if text.startswith(begins)}


async def all_are_counted(url: str) -> None:
    """See that the record took each input in: its automatic answers are counted, one for each SMS."""
    store = await open_store(store_url.parse(url), make=False)
    for number in NUMBERS:
        assert len((await store.load(number))[0].replies) == len(TEXTS)
    await store.close()
