"""The demo's own terminal: registered as any other, by itself, so that its kiosk works at the first start."""

from pathlib import Path
from typing import Final

import nacl.utils
from msgspec.structs import replace
from nacl.signing import SigningKey

from ussd_server.cli.common import Failure, now
from ussd_server.secrecy import keys
from ussd_server.secrecy.secrets import Secret
from ussd_server.stores.base import Store
from ussd_server.terminals import credentials, registry
from ussd_server.terminals.credentials import Credentials, CredentialsError
from ussd_server.terminals.record import Terminal
from ussd_server.terminals.registry import Refused, Wanted

ID: Final = "demo-kiosk"
WANTED: Final = Wanted(name="Demo kiosk")


async def demo_terminal(data: Path, store: Store) -> tuple[Credentials, Path]:
    """Return what the demo's kiosk needs, and the file in the data directory where it is kept. Raises Failure.

    A key that the store does not know (another store, or the file is gone) is registered; quarantine ends with a
    restart of the demo, where nobody else could lift it.
    """
    path = data / f"{ID}.json"
    signing = {key.id: key.octets for key in keys.load(data / keys.FILE_NAME).public("signing")}
    try:
        own = _own(path, signing)
    except CredentialsError as error:
        raise Failure(str(error)) from None
    public = bytes(SigningKey(own.private.reveal()).verify_key)
    changed = await registry.change(store, ID, lambda terminal: _registered(terminal, public))
    if isinstance(changed, Refused):
        raise Failure(f"{ID}: {changed.why}")
    return own, path


def _own(path: Path, signing: dict[str, bytes]) -> Credentials:
    if path.exists():
        own = replace(credentials.load(path), signing=signing)
        credentials.save(path, own)
        return own
    seed = Secret(nacl.utils.random(credentials.KEY_SIZE))
    own = Credentials(ID, registry.key_id(bytes(SigningKey(seed.reveal()).verify_key)), seed, "", signing)
    credentials.create(path, own)
    return own


def _registered(terminal: Terminal | None, public: bytes) -> Terminal | Refused:
    if terminal is not None and any(key.public == public for key in terminal.keys):
        return registry.lift(terminal, now()) if terminal.standing == "quarantined" else terminal
    fresh = registry.revoke(terminal, "its key is gone", now()) if terminal is not None and terminal.keys else terminal
    return fresh if isinstance(fresh, Refused) else registry.add(fresh, ID, public, now(), WANTED)
