"""What a store could lose of what it acknowledged, as it is set up now: said in the log when that changes."""

import structlog

from ussd_server.stores.base import Store

log = structlog.get_logger()


class Risks:
    """The risks of the store that is called `name` in the log.

    A server that serves goes on: it is too late to refuse, and who depends on it is told.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self.found: list[str] = []
        """What was found when it was looked at last."""

    async def look(self) -> int:
        """Look how the store is set up, say what is new and what is over, and return how many risks there are.

        Raises StoreUnavailable.
        """
        before, self.found = self.found, await self._store.risks()
        for risk in self.found:
            if risk not in before:
                log.warning("store may lose what it acknowledged", store=self._name, cause=risk)
        for risk in before:
            if risk not in self.found:
                log.info("store loses that no more", store=self._name, cause=risk)
        return len(self.found)
