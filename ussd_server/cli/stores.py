"""How a command works on the store: open it, do the work, let go of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ussd_server.settings import Settings, SettingsError
from ussd_server.stores.base import Store
from ussd_server.stores.sqlite import SqliteStore

T = TypeVar("T")


def there(settings: Settings) -> bool:
    """Return whether the store was made yet; a server makes it at its first start."""
    return settings.store.path.is_file()


def with_store(settings: Settings, work: Callable[[Store], Awaitable[T]], *, make: bool = False) -> T:
    """Return what the work returns. Raises SettingsError where there is no store, unless it may be made."""
    if not make and not there(settings):
        raise SettingsError(
            f"{settings.store}: there is no such file; say where the server keeps it with --data or --store"
        )

    async def within() -> T:
        store = SqliteStore(settings.store.path)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())
