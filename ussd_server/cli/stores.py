"""How a command works on the store: open it, do the work, let go of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ussd_server.cli.process import run_unless_interrupted
from ussd_server.settings import Settings, SettingsError
from ussd_server.store_note import refuse_default
from ussd_server.stores.base import NoStore, Store
from ussd_server.stores.moving import refuse_marked
from ussd_server.stores.opening import open_store

T = TypeVar("T")


def there(settings: Settings) -> bool:
    """Return whether the store was made yet; a server makes it at its first start. Raises as `with_store` does."""

    async def nothing(store: Store) -> None:
        pass

    try:
        asyncio.run(_on(settings, nothing, False))
    except NoStore:
        return False
    return True


def with_store(
    settings: Settings,
    work: Callable[[Store], Awaitable[T]],
    *,
    make: bool = False,
    remark: Callable[[], str] | None = None,
) -> T:
    """Return what the work returns; with a remark, one that is interrupted ends with Interrupted and the remark.

    Raises SettingsError where there is no store, unless it may be made, and where none was named and the servers of the
    data directory use another than the default.
    """
    try:
        whole = _on(settings, work, make)
        return asyncio.run(whole) if remark is None else run_unless_interrupted(whole, remark)
    except NoStore as error:
        raise SettingsError(f"{error}; say where the server keeps it with --data or --store") from None


async def _on(settings: Settings, work: Callable[[Store], Awaitable[T]], make: bool) -> T:
    refuse_default(settings)
    store = await open_store(settings.store, make, journal_entries=settings.journal_entries)
    try:
        await refuse_marked(store, str(settings.store))
        return await work(store)
    finally:
        await store.close()
