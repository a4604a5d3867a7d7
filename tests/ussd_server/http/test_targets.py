"""What no operation takes is refused as terminals know it; a token may be spelled in percent."""

from pathlib import Path

import pytest

from tests.ussd_server.http.endpoint import Endpoint, Prepared, visit


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("OPTIONS", "/v1/visits", "method-not-allowed"),
        ("PUT", "/v1/visits/x/balance", "method-not-allowed"),
        ("GET", "/v1/keys/", "not-found"),
        ("POST", "/v1/visits/", "not-found"),
        ("DELETE", "/v1/visits/", "not-found"),
        ("GET", "/v1/nothing", "not-found"),
    ],
)
def test_what_is_not_there_is_a_signed_problem(tmp_path: Path, method: str, path: str, refusal: str) -> None:
    async def story(endpoint: Endpoint) -> None:
        said = await endpoint.send(Prepared(method, path, {}, b""))
        said.refused(refusal)
        assert ("Allow" in said.headers) == (refusal == "method-not-allowed")

    visit(tmp_path, story)


def test_a_token_may_be_spelled_in_percent(tmp_path: Path) -> None:
    async def story(endpoint: Endpoint) -> None:
        path = await endpoint.hall.visit(await endpoint.number())
        before, _, token = path.rpartition("/")
        spelled = f"{before}/%{ord(token[0]):02X}{token[1:]}/balance"
        assert (await endpoint.hall.get(spelled)).ok(200) == (await endpoint.hall.get(f"{path}/balance")).ok(200)

    visit(tmp_path, story)
