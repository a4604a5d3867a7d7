"""Buckets share subscribers and slots evenly, on a Cluster of any size."""

from collections import Counter

import pytest

from ussd_server.stores.redis.buckets import BUCKETS, SLOTS, bucket_of, slot, slot_of, tags


def test_a_slot_is_that_of_the_clusters_specification() -> None:
    assert slot(b"123456789") == 0x31C3
    assert slot(b"foo") == 12182
    assert slot_of(b"ussd:{foo}:s:79100000001") == 12182


@pytest.mark.parametrize("buckets", [1, 16, BUCKETS])
def test_each_bucket_has_its_own_share_of_the_slots(buckets: int) -> None:
    width = SLOTS // buckets
    assert [slot(tag) // width for tag in tags(buckets)] == list(range(buckets))


@pytest.mark.parametrize("nodes", [1, 2, 3, 6, 10])
def test_nodes_with_even_slots_have_even_buckets(nodes: int) -> None:
    shares = Counter(slot(tag) * nodes // SLOTS for tag in tags(BUCKETS))
    assert max(shares.values()) - min(shares.values()) <= 1


def test_numbers_spread_over_the_buckets() -> None:
    shares = Counter(bucket_of(b"%d" % number, BUCKETS) for number in range(79_100_000_000, 79_100_100_000))
    assert len(shares) == BUCKETS
    assert max(shares.values()) < 1.2 * 100_000 / BUCKETS
