"""Keys that a store's servers have and a data directory has not: new ones would open nothing, so none are made."""

from dataclasses import dataclass

from ussd_server.cli.common import Failure
from ussd_server.cli.stores import there, with_store
from ussd_server.secrecy import agreement, keys
from ussd_server.secrecy.agreement import WHENCE
from ussd_server.secrecy.keys import FILE_NAME, Keyring, KeysError
from ussd_server.settings import Settings, SettingsError
from ussd_server.store_note import written
from ussd_server.stores.base import Store, StoreUnavailable


def strange(where: Settings, ring: Keyring) -> list[str] | None:
    """Return the ids of the keys that the store's servers have in use and this ring has not; None without a store.

    Raises SettingsError as `with_store` does, StoreUnavailable, and KeysError where what is noted cannot be read.
    """

    async def work(store: Store) -> list[str]:
        return agreement.lacking(ring, await store.noted_keys())

    return with_store(where, work) if there(where) else None


def no_keys(where: Settings) -> SettingsError:
    """Return the error for a data directory without keys: new ones are made only where its servers have had none."""
    none = f"there are no keys in {where.data}"
    try:
        ids = strange(where, Keyring())
    except (SettingsError, StoreUnavailable, KeysError) as error:
        return SettingsError(f"{none}, and whether its servers have had some cannot be told: {error}")
    if not ids:
        return SettingsError(f"{none}; make them with: ussd-server keys init --data {where.data}")
    return SettingsError(
        f"{none}, and the servers of {written(where.store)} have {', '.join(ids)}: bring back a copy of {FILE_NAME}, "
        f"{WHENCE}. New keys would open nothing that is there"
    )


def refuse_to_make(where: Settings) -> None:
    """Raise where keys of some kind would be made while the store's servers have others, or nobody knows."""
    try:
        ring = keys.load(where.data / FILE_NAME)
    except FileNotFoundError:
        ring = Keyring()
    if not ring.missing():
        return
    try:
        ids = strange(where, ring)
    except StoreUnavailable as error:
        raise Failure(
            f"no keys were made, for it cannot be told whether the servers of {written(where.store)} have some: "
            f"{error}; --force makes them all the same"
        ) from None
    if ids:
        raise Failure(
            f"no keys were made: the servers of {written(where.store)} have {', '.join(ids)}, and new ones would open "
            f"nothing that is there. Bring back a copy of {FILE_NAME}, {WHENCE}; where none is left anywhere, --force "
            "makes new ones"
        )


@dataclass(frozen=True, slots=True)
class Shut:
    """Why the keys of a data directory do not open what is under a kek; `lost` where no server's do."""

    why: str
    lost: bool


def shut(where: Settings, kid: str, noted: str) -> Shut | None:
    """Return why nothing here opens what is under the kek of this id; None where something does, or nobody knows.

    The keys of the data directory tell it and, where that lacks the kek, or has no keys, as at a support desk, what the
    store has `noted` of its servers'.
    """
    try:
        servers = agreement.ids(noted)
    except KeysError:  # servers and the commands on keys tell it
        servers = []
    try:
        here = [key.id for key in keys.load(where.data / FILE_NAME).of("kek")]
    except (FileNotFoundError, KeysError):
        here = []
    if kid in (here or servers) or not (here or servers):
        return None
    if kid in servers:
        why = f"{where.data} lacks {kid}, which the store's servers have: put their {FILE_NAME} there, and keep its own"
        return Shut(why, lost=False)
    whose = f"in {where.data}" if here else "of the store's servers"
    return Shut(f"no key {whose} opens it, for it is under {kid}", lost=True)
