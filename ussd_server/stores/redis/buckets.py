"""Which subscriber's keys live together, and where on a Cluster. Pure.

A bucket is a share of all subscribers. Every key of a bucket carries the same hash tag, so that one script may change
several of them, and whoever looks for due work asks each bucket, not each subscriber.
"""

from binascii import crc_hqx
from itertools import count
from typing import Final

SLOTS: Final = 16_384
"""Hash slots of a Redis Cluster."""

BUCKETS: Final = 256
"""Buckets of a new store: a power of two, so that any even split of the slots splits the buckets evenly as well."""


def slot(tag: bytes) -> int:
    """Return the slot of the keys with this hash tag."""
    return crc_hqx(tag, 0) % SLOTS


def slot_of(key: bytes) -> int:
    """Return the slot of a key that has a hash tag."""
    return slot(key.partition(b"{")[2].partition(b"}")[0])


def bucket_of(name: bytes, buckets: int) -> int:
    """Return the bucket of a subscriber's number, or of any other name. `buckets` is a power of two."""
    return crc_hqx(name, 0) & (buckets - 1)


def tags(buckets: int) -> list[bytes]:
    """Return each bucket's hash tag: bucket i of n has the slots from i * 16384 / n up to those of the next one."""
    width = SLOTS // buckets
    found: dict[int, bytes] = {}
    for number in count():
        tag = b"%d" % number
        found.setdefault(slot(tag) // width, tag)
        if len(found) == buckets:
            return [found[bucket] for bucket in range(buckets)]
    raise AssertionError("there is no end of numbers")
