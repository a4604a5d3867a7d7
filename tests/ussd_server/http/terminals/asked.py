"""What the tests of the endpoint ask for again and again."""

from typing import Any

from tests.ussd_server.http.endpoint import Endpoint

ORDERS = "/v1/code-orders"
VISITS = "/v1/visits"
IN_VISIT: list[tuple[str, str, Any]] = [
    ("POST", "/begin", {}),
    ("POST", "/inputs", {"screen": 1, "text": "1"}),
    ("GET", "/balance", None),
    ("GET", "/offerings?kind=tariff", None),
    ("GET", "/products", None),
    ("POST", "/quotes", {"change": "add_service", "offering": "x"}),
    ("POST", "/orders", {"quote": "x"}),
    ("GET", "/orders/x", None),
]


async def a_change(at: Endpoint, inside: str) -> dict[str, str]:
    """Return a change that this subscriber may have."""
    owned = (await at.hall.get(f"{inside}/products")).ok(200)["tariff"]["id"]
    offered = (await at.hall.get(f"{inside}/offerings?kind=tariff")).ok(200)["offerings"]
    return {"change": "change_tariff", "offering": next(one["id"] for one in offered if one["id"] != owned)}
