"""The cache of records: what it gives back is the latest, what was used lately is there, and it is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from ussd_server.stores.cache import Cache
from ussd_server.subscribers.record import Subscriber

RECORDS, OCTETS = 8, 400
NUMBERS = st.integers(1, 20).map(str)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NUMBERS, st.integers(1, 60)),
        st.tuples(st.just("get"), NUMBERS, st.just(0)),
        st.tuples(st.just("drop"), NUMBERS, st.just(0)),
    ),
    max_size=200,
)


def held(cache: Cache) -> dict[str, int]:
    """Return the versions of what the cache remembers, without using it."""
    return {msisdn: entry[0][1] for part in (cache._older, cache._younger) for msisdn, entry in part.items()}


@given(STEPS)
def test_what_is_remembered_is_the_latest_and_bounded(steps: list[tuple[str, str, int]]) -> None:
    cache, versions, sizes = Cache(RECORDS, OCTETS), dict[str, int](), dict[str, int]()
    for version, (what, msisdn, octets) in enumerate(steps):
        if what == "put":
            cache.put(Subscriber(msisdn), version, octets)
            versions[msisdn], sizes[msisdn] = version, octets
        elif what == "get":
            found = cache.get(msisdn)
            assert found is None or found == (Subscriber(msisdn), versions[msisdn])
        else:
            cache.drop(msisdn)
            versions.pop(msisdn, None)
            assert cache.get(msisdn) is None
        remembered = held(cache)
        for part in (cache._younger, cache._older):
            assert len(part) <= RECORDS // 2
            assert sum(entry[1] for entry in part.values()) <= OCTETS // 2
        assert remembered.items() <= versions.items()


@given(st.lists(NUMBERS, min_size=1, max_size=100))
def test_the_half_that_was_used_last_is_remembered(used: list[str]) -> None:
    cache = Cache(RECORDS, 10_000)
    for version, msisdn in enumerate(used):
        if cache.get(msisdn) is None:
            cache.put(Subscriber(msisdn), version, 10)
    for msisdn in list(dict.fromkeys(reversed(used)))[: RECORDS // 2]:
        assert cache.get(msisdn) is not None


@given(st.lists(st.lists(st.tuples(NUMBERS, st.integers(1, 60)), max_size=12), max_size=20))
def test_what_came_at_once_is_remembered_together(groups: list[list[tuple[str, int]]]) -> None:
    cache, version = Cache(RECORDS, OCTETS), 0
    for group in groups:
        latest = {}
        for msisdn, _ in group:
            version += 1
            latest[msisdn] = version
        first = version - len(group) + 1
        cache.put_all(((Subscriber(msisdn), first + at), octets) for at, (msisdn, octets) in enumerate(group))
        assert len(cache._younger) <= RECORDS // 2
        assert cache._held == sum(entry[1] for entry in cache._younger.values()) <= OCTETS // 2
        assert held(cache).items() >= latest.items()


def test_nothing_is_left_after_clear() -> None:
    cache = Cache(2)
    for msisdn in ("1", "2", "3"):
        cache.put(Subscriber(msisdn), 1, 10)
    cache.clear()
    assert [cache.get(msisdn) for msisdn in ("1", "2", "3")] == [None, None, None]
