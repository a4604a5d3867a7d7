"""Whether the process is alive (`/healthz`) and whether it can serve (`/readyz`), for whoever watches over it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from ussd_server.readiness import Readiness

Checks: TypeAlias = Callable[[], Awaitable[Readiness]]
"""Returns what is found now."""


def add_health(app: web.Application, checks: Checks) -> None:
    """Serve `/healthz` and `/readyz`; neither is kept by a cache."""

    async def alive(_request: web.Request) -> web.Response:
        return _fresh({"alive": True}, 200)

    async def ready(_request: web.Request) -> web.Response:
        found = await checks()
        told = {name: reason or "ok" for name, reason in found.reasons.items()}
        return _fresh({"ready": found.ready, "degraded": found.degraded, "checks": told}, 200 if found.ready else 503)

    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)


def _fresh(body: Mapping[str, object], status: int) -> web.Response:
    response = web.json_response(body, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
