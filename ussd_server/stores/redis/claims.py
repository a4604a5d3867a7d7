"""What this server holds of the outbox in Redis, and who is next, as far as it was told."""

from collections.abc import Sequence
from itertools import count

from ussd_server.stores.base import EVERY_LANE
from ussd_server.stores.redis.due import Due
from ussd_server.stores.redis.keys import Bucket


class Claims:
    """The claims of one server, which is called `consumer` in the lists of who performs what."""

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        self.due = Due(EVERY_LANE)
        self.held_in: set[int] = set()
        """The buckets in which anything was ever claimed."""
        self.looked = float("-inf")
        """When every bucket was looked at last, by the loop's clock."""
        self._numbers = count(1)

    def name(self, bucket: Bucket) -> str:
        """Return what no other claim is called, so that one that is sent again finds what it took in this bucket."""
        self.held_in.add(bucket.number)
        return f"{self.consumer}.{next(self._numbers)}"

    def heard(self, bucket: Bucket, msisdn: str, heads: Sequence[int]) -> None:
        """Take down what a commit says of the subscriber's next work."""
        for lane, ready in zip(heads[::2], heads[1::2], strict=True):
            self.due.heard(lane, bucket.number, ready, msisdn)
