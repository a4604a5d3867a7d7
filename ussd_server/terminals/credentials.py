"""What a terminal needs to reach the server: its key, and the server's keys that it believes."""

import msgspec

from ussd_server.secrecy.secrets import Secret


class Credentials(msgspec.Struct, frozen=True):
    """A terminal's id, the id and the seed (32 octets) of its Ed25519 key, the server's URL, and the server's Ed25519
    public keys (32 octets) by id."""

    terminal: str
    key: str
    private: Secret[bytes]
    url: str
    signing: dict[str, bytes]
