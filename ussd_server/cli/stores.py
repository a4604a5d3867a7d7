"""How a command works on the store: open it, do the work, let go of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ussd_server.cli.common import warn
from ussd_server.cli.process import run_unless_interrupted
from ussd_server.settings import Settings, SettingsError
from ussd_server.store_note import is_noted, refuse_default, written
from ussd_server.stores.base import NoStore, Store
from ussd_server.stores.moving import refuse_marked
from ussd_server.stores.opening import open_store

T = TypeVar("T")

BRING_BACK: Final = (
    "Bring its data back, from a replica or a backup, before any server is started on it: that would begin a new one"
)


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

    Raises SettingsError where there is no store, unless it may be made; where servers of the data directory have used
    it, so that it has lost its data; and where none was named and they use another than the default.
    """
    try:
        whole = _on(settings, work, make)
        return asyncio.run(whole) if remark is None else run_unless_interrupted(whole, remark)
    except NoStore as error:
        raise SettingsError(f"{error}; say where the server keeps it with --data or --store") from None


def warn_unseen(name: str) -> None:
    """Say that servers may run on a store and nobody sees them."""
    warn(
        f"it cannot be told who uses {name}: its Redis shows this user no clients (CLIENT LIST, CLIENT SETNAME). "
        "See to it that nothing runs on it until this command has ended"
    )


async def _on(settings: Settings, work: Callable[[Store], Awaitable[T]], make: bool) -> T:
    refuse_default(settings)
    used = is_noted(settings.data, settings.store)
    try:
        store = await open_store(settings.store, make and not used, journal_entries=settings.journal_entries)
    except NoStore:
        if used:
            raise SettingsError(
                f"{written(settings.store)}: the store lost its data, or is another one: servers of {settings.data} "
                f"have used it, and it is not there. {BRING_BACK}"
            ) from None
        raise
    try:
        await refuse_marked(store, str(settings.store))
        return await work(store)
    finally:
        await store.close()
