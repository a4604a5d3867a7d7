"""An HTTP server on one address, with what every process of ours answers: its health and its numbers."""

from typing import TypeAlias

from aiohttp import web

from ussd_server.http.health import Checks, add_health
from ussd_server.http.metrics import add_metrics
from ussd_server.metrics import Metrics
from ussd_server.settings import Address

CLOSE_S = 2.0
"""How long open requests may go on when the server stops."""

INDEX = """\
ussd-server

/healthz  the process lives
/readyz   the store can be written and every SMSC is bound; else why not
/metrics  numbers for Prometheus
"""

Application: TypeAlias = web.Application


def application(checks: Checks, metrics: Metrics, app: Application | None = None) -> Application:
    """Return an application with health and metrics on it: the given one, or one whose `/` says what is there."""
    if app is None:
        app = web.Application()
        app.router.add_get("/", _index)
    add_health(app, checks)
    add_metrics(app, metrics)
    return app


async def _index(_: web.Request) -> web.Response:
    return web.Response(text=INDEX)


class Listener:
    """Serves an application until it is stopped."""

    def __init__(self, app: Application, address: Address) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        self.address = address
        """Where it listens; after `start` with the port that the system chose, where 0 was asked for."""

    async def start(self) -> None:
        """Listen; raises OSError where the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.address.host, self.address.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.address = Address(self.address.host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the address, and the connections after what is under way."""
        await self._runner.cleanup()
