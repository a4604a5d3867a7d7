"""The operator's side: an SMSC and USSD gateway that services bind to, with the phones of its subscribers."""

from collections.abc import Callable, Iterable, Mapping

from ussd_server.secrets import Secret
from ussd_server.simulator.phone import Timers


class Smsc:
    """An SMSC on `host:port` (port 0: any free one, see `port` after `start`) with phones.

    `accounts` are the system ids that may bind, with their passwords; None lets anybody bind. `clock` gives
    milliseconds since 1970 UTC.
    """

    def __init__(
        self,
        host: str,
        port: int,
        accounts: Mapping[str, Secret] | None = None,
        phones: Iterable[str] = (),
        timers: Timers | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Listen; raises OSError where the address cannot be had."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Unbind every service and close the port."""
        raise NotImplementedError
