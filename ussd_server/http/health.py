"""Whether the process is alive (`/healthz`) and whether it can serve (`/readyz`), for whoever watches over it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

Checks: TypeAlias = Callable[[], Awaitable[Mapping[str, str]]]
"""Return by name what readiness needs: "" where it is well, else the reason in one line."""


def add_health(app: web.Application, checks: Checks) -> None:
    """Serve `/healthz` and `/readyz`; neither is kept by a cache."""

    async def alive(_request: web.Request) -> web.Response:
        return _fresh({"alive": True}, 200)

    async def ready(_request: web.Request) -> web.Response:
        reasons = await checks()
        well = not any(reasons.values())
        return _fresh(
            {"ready": well, "checks": {name: reason or "ok" for name, reason in reasons.items()}}, 200 if well else 503
        )

    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)


def _fresh(body: Mapping[str, object], status: int) -> web.Response:
    response = web.json_response(body, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
