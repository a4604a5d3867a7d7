"""Opens whichever store a URL names."""

from ussd_server.store_url import SqliteUrl, StoreUrl
from ussd_server.stores.base import NoStore, Store


async def open_store(url: StoreUrl, make: bool = True) -> Store:
    """Return the store that this URL names, ready to be used. Raises StoreUnavailable with the cause.

    Without `make`, one that no server has begun is NoStore.
    """
    if isinstance(url, SqliteUrl):
        from ussd_server.stores.sqlite import SqliteStore

        if not make and not url.path.is_file():
            raise NoStore(f"{url}: there is no such file; a server makes it at its first start")
        return SqliteStore(url.path)
    from ussd_server.stores.redis import RedisStore

    store = RedisStore(url, make)
    try:
        await store.ping()
    except BaseException:
        await store.close()
        raise
    return store
