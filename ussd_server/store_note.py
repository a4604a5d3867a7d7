"""Which store the servers of a data directory use: noted beside their keys at each start, read by every command.

A key holds codes in the store that its servers use. Who counts in another one, because an option was left out, finds
none, and would throw the key away.
"""

from pathlib import Path
from typing import Final

import msgspec

from ussd_server.secrecy import files
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.secrecy.secrets import Secret
from ussd_server.settings import Settings, SettingsError
from ussd_server.store_url import RedisUrl, SqliteUrl, StoreUrl

FILE_NAME: Final = "store.json"


class Note(msgspec.Struct, frozen=True):
    """A store as it is noted: as it is written for `--store`, but without secrets, and what tells it from others.

    The path of a SQLite file inside the data directory is one from there, so that the directory can be moved.
    """

    store: str
    place: str
    secret: bool = False
    id: str = ""
    """What the store is told from others by, as it was then; "" for a SQLite file."""

    def is_of(self, url: StoreUrl, data: Path) -> bool:
        """Return whether this URL names the store that is noted in this data directory."""
        return self.place == _place(url, data)


def written(url: StoreUrl) -> str:
    """Return how a store is written for `--store`, but for its secrets."""
    if isinstance(url, SqliteUrl):
        return str(url)
    given = [f"{key}={value}" for key, value in (("replicas", url.replicas), ("ca_file", url.ca_file)) if value]
    place, _, prefix = str(url).partition("?")
    options = "&".join([*filter(None, [prefix]), *given])
    return f"{place}?{options}" if options else place


def note(data: Path, url: StoreUrl, id: str = "") -> bool:
    """Note that servers of this data directory use this store; False where it was noted, but with another id.

    Raises UnguardedFile where it cannot be written.
    """
    secret = isinstance(url, RedisUrl) and (url.password is not None or url.sentinel_password is not None)
    new = Note(written(url) if isinstance(url, RedisUrl) else "", _place(url, data), secret, id)
    try:
        before = noted(data)
    except UnguardedFile:  # whatever is wrong with the old file is over with the new one
        before = None
    if before != new:
        files.replace(data / FILE_NAME, Secret(msgspec.json.encode(new)))
    return before is None or before.place != new.place or before.id in ("", id)


def noted(data: Path) -> Note | None:
    """Return what is noted; None where no server has noted anything yet. Raises UnguardedFile."""
    path = data / FILE_NAME
    try:
        return msgspec.json.decode(files.read(path).reveal(), type=Note)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise UnguardedFile(
            f"{path} cannot be read ({error}): remove it, the next start of a server writes it"
        ) from None


def is_noted(data: Path, url: StoreUrl) -> bool:
    """Return whether servers of this data directory have used this store; False, too, where that cannot be read."""
    return _noted_as(data, url) is not None


def noted_id(data: Path, url: StoreUrl) -> str:
    """Return what this store was told from others by when it was noted; "" where it was not, or cannot be read."""
    found = _noted_as(data, url)
    return found.id if found is not None else ""


def option(data: Path, note: Note) -> str:
    """Return what to add to a command for the store that is noted."""
    store = note.store or f"sqlite:///{data / note.place}"
    return f"--store '{store}'" + (" (with its password)" if note.secret else "")


def refuse_default(settings: Settings) -> None:
    """Raise SettingsError where no store was named and the servers of this data directory use another than the default.

    Raises it, too, where what is noted cannot be read.
    """
    if "store" in settings.model_fields_set:
        return
    try:
        found = noted(settings.data)
    except UnguardedFile as error:
        raise SettingsError(str(error)) from None
    if found is not None and not found.is_of(settings.store, settings.data):
        raise SettingsError(
            f"no store was named, and the servers of {settings.data} use another than {settings.store}: add "
            f"{option(settings.data, found)}, or --settings with the file that names it; "
            f"or, to go to that one on purpose, --store '{settings.store}'"
        )


def _noted_as(data: Path, url: StoreUrl) -> Note | None:
    try:
        found = noted(data)
    except UnguardedFile:
        return None
    return found if found is not None and found.is_of(url, data) else None


def _place(url: StoreUrl, data: Path) -> str:
    """Return what a store is known as; a SQLite file by its path, within the data directory one from there."""
    if isinstance(url, SqliteUrl):
        path, directory = url.path.resolve(), data.resolve()
        return str(path.relative_to(directory) if path.is_relative_to(directory) else path)
    return url.known_as
