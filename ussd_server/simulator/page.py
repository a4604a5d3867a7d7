"""The phone page: its files, and the WebSocket that its browsers and the terminal's phone talk over."""

from aiohttp import web

from ussd_server.simulator.smsc import Smsc


def make_app(smsc: Smsc) -> web.Application:
    """Return an application with the page at `/`, its files under `/web/` and the line to `smsc` at `/socket`."""
    raise NotImplementedError
