"""What another program wrote where a bucket has lists: scripts set it aside, this tells of it.

The store's own lists are made anew from what each subscriber has, so nothing waits for whoever mends it.
"""

from collections.abc import Sequence
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MEND: Final = "see which program writes into this database under the store's prefix; then DEL the key"


class Aside:
    """Tells once of each key that was set aside, until it is gone. `store` is what the store is called."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._told: dict[int, Sequence[bytes]] = {}

    def saw(self, bucket: int, keys: Sequence[bytes] | None) -> None:
        """Take note of the keys that are set aside in a bucket; None where that is not known now."""
        if keys is None:
            return
        if not keys:
            self._told.pop(bucket, None)
            return
        for key in keys:
            if key not in self._told.get(bucket, ()):
                log.error(
                    "what another program wrote where this store keeps its lists was set aside",
                    store=self._store,
                    key=key.decode(errors="replace"),
                    mend=MEND,
                )
        self._told[bucket] = keys
