"""`/metrics`: the server's numbers in the text format of Prometheus."""

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ussd_server.metrics import Metrics


def add_metrics(app: web.Application, metrics: Metrics) -> None:
    """Serve `/metrics` in the text format of Prometheus."""
    registry = metrics.registry()

    async def scrape(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", scrape)
