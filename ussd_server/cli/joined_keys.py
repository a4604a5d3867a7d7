"""The keys of another file that come into a data directory's own, or why they do not."""

from pathlib import Path

from ussd_server.cli.common import Failure
from ussd_server.secrecy import agreement, joining, keys
from ussd_server.secrecy.keys import KINDS, Keyring, KeysError
from ussd_server.settings import SettingsError


class Join:
    """What is to be done to the ring of `into`, as `keys.change` calls it: all keys of `file` come, or none."""

    def __init__(self, file: Path, into: Path, store: str, noted: str, signing: bool | None) -> None:
        """Read the file. `noted` is what `store` remembers of its servers' keys, "" where there is none.

        `signing` is whether doubtful signing keys come, too; None where they are to be refused. Raises SettingsError.
        """
        self.into = into
        self._file = file
        self._store = store
        self._noted = noted
        self._signing = signing
        self._theirs = _read(file)
        self._before = Keyring()

    def __call__(self, ours: Keyring) -> Keyring:
        """Return the joined ring. Raises Failure where two keys clash, or terminals might believe a stranger's."""
        if clashing := joining.clashing(ours, self._theirs):
            raise Failure(
                f"nothing was joined: {', '.join(clashing)} is one key in {self.into} and another in {self._file}, so "
                "one of the files was altered: bring back an older copy of that one, then join again"
            )
        servers_use = agreement.in_use(self._theirs, self._noted) | agreement.in_use(ours, self._noted)
        doubtful = joining.doubtful(ours, self._theirs, servers_use)
        if doubtful and self._signing is None:
            raise Failure(
                f"nothing was joined: the servers of {self._store} do not use {', '.join(doubtful)} of {self._file}: "
                "such a key may be another service's, or one that was retired because somebody has it, and terminals "
                "would believe it; --signing joins it all the same, --no-signing leaves it out"
            )
        theirs = Keyring(tuple(key for key in self._theirs.keys if self._signing or key.id not in doubtful))
        self._before = ours
        return joining.joined(ours, theirs, servers_use)

    def told(self, after: Keyring) -> list[tuple[str, str, str, str]]:
        """Return of each kind the key in use, what was in use before that, and what came; nothing where nothing did."""
        if after == self._before:
            return []
        rows: list[tuple[str, str, str, str]] = []
        for kind in KINDS:
            came = [key.id for key in after.of(kind) if self._before.get(key.id) is None]
            used, earlier = _named(kind, after), _named(kind, self._before)
            was = f"before: {earlier}" if used != earlier else ""
            rows.append((kind, used, was, f"{len(came)}: {', '.join(came)}" if came else "0"))
        return rows


def _read(file: Path) -> Keyring:
    try:
        return keys.load(file)
    except FileNotFoundError:
        raise SettingsError(f"there is no file {file}") from None
    except KeysError as error:
        raise SettingsError(str(error)) from None


def _named(kind: keys.Kind, ring: Keyring) -> str:
    used = joining.in_use(kind, ring)
    return used.id if used else "none"
