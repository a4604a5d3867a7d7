"""Opens whichever store a URL names."""

from ussd_server.store_url import SqliteUrl, StoreUrl
from ussd_server.stores.base import JOURNAL_ENTRIES, NoStore, Store, StoreUnavailable
from ussd_server.stores.moving import refuse_marked


async def open_store(
    url: StoreUrl,
    make: bool = True,
    require_durable: bool = False,
    journal_entries: int = JOURNAL_ENTRIES,
    noted_id: str = "",
) -> Store:
    """Return the store that this URL names, ready to be used. Raises StoreUnavailable with the cause.

    Without `make`, one that no server has begun is NoStore. With `require_durable` one that could lose anything is
    refused before anything is written. `noted_id` is the store's `identity` when it was used last.
    """
    if isinstance(url, SqliteUrl):
        from ussd_server.stores.sqlite.store import SqliteStore

        if not make and not url.path.is_file():
            raise NoStore(f"{url}: there is no such file; a server makes it at its first start")
        return SqliteStore(url.path, journal_entries=journal_entries)
    from ussd_server.stores.redis.store import RedisStore

    store = RedisStore(url, make, journal_entries=journal_entries, noted_id=noted_id)
    try:
        if require_durable and (risks := await store.risks()):
            raise StoreUnavailable(f"{url}: not durable, and --require-durable is given: {'; '.join(risks)}")
        await store.ping()
    except BaseException:
        await store.close()
        raise
    return store


async def open_to_serve(
    url: StoreUrl, require_durable: bool = False, journal_entries: int = JOURNAL_ENTRIES, noted_id: str = ""
) -> Store:
    """Return the store for a server, as `open_store` does.

    Raises StoreUnavailable where it is marked; with `require_durable` also where it could lose anything.
    """
    store = await open_store(url, True, require_durable, journal_entries, noted_id)
    try:
        await refuse_marked(store, str(url))
    except BaseException:
        await store.close()
        raise
    return store
