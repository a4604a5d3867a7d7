"""A journal on Redis is as long as it may be."""

import pytest

from tests.redis_servers import RedisServer
from tests.ussd_server.stores.redis.steps import ANNA, T0, on
from ussd_server.stores.base import JOURNAL_ENTRIES, Change, JournalEntry
from ussd_server.stores.redis import keys
from ussd_server.stores.redis.store import RedisStore


@pytest.mark.parametrize("more", [1, 3, 4, 20_000])
def test_a_journal_of_before_there_was_a_bound_is_cut_without_a_search_for_each_that_goes(
    server: RedisServer, more: int
) -> None:
    async def test(store: RedisStore) -> None:
        record, version = await store.load(ANNA)
        assert await store.commit(Change(version, record))
        home = store._home(ANNA)
        kept = [JournalEntry(n, "activated", {"n": n}) for n in range(1_500)]
        ended = [JournalEntry(T0 + n, "sms ended", {"n": n}) for n in range(JOURNAL_ENTRIES + more)]
        last = JournalEntry(T0 + len(ended), "sms ended", {"n": len(ended)})
        with server.client() as client:
            # The other kind's before, among and behind them: of that none is written, so all stay.
            before = [*kept[:500], *ended[:3], *kept[500:1_000], *ended[3:], *kept[1_000:]]
            client.rpush(home.bucket.journal(home.digits).decode(), *map(keys.note, before))
            client.config_resetstat()
            record, version = await store.load(ANNA)
            assert await store.commit(Change(version, record, (last,)))
            called = client.info("commandstats")
            removed = called.get("cmdstat_lrem", {"calls": 0})["calls"]
            assert removed == (more + 1 if more < 4 else 0)
        gone = {each.at for each in ended[: more + 1]}
        assert (await store.journal(ANNA, limit=30_000))[::-1] == [e for e in (*before, last) if e.at not in gone]

    on(server, test)
