"""The server's keys are told to all, signed by each; an answer is believed for its own request alone."""

import base64
from pathlib import Path

import pytest

from tests.ussd_server.http.endpoint import NOW, Endpoint, Prepared, Said, visit
from ussd_server.secrecy import keys


async def known_by(at: Endpoint, path: str, signing: dict[str, bytes]) -> Said | None:
    """Return the answer where whoever knows these keys alone believes it."""
    at.signing = signing
    try:
        return await at.hall.get(path)
    except AssertionError:
        return None


def test_keys_are_told_to_whoever_knows_any_of_them(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        old = dict(at.signing)
        keys.change(at.keys.path, lambda ring: ring.rotate("signing", NOW))
        assert at.keys.refresh()
        new = {key.id: key.octets for key in at.keys.ring.public("signing") if key.current}
        assert new.keys().isdisjoint(old)
        for known in (old, new):
            said = await known_by(at, "/v1/keys", known)
            assert said is not None
            told = {one["id"]: (one["public"], one["current"]) for one in said.ok(200)["signing"]}
            assert told == {
                **{id: (base64.b64encode(octets).decode(), False) for id, octets in old.items()},
                **{id: (base64.b64encode(octets).decode(), True) for id, octets in new.items()},
            }
        assert await known_by(at, f"{inside}/balance", old) is None, "other answers are signed by the current key alone"
        assert await known_by(at, f"{inside}/balance", new) is not None
        keys.change(at.keys.path, lambda ring: ring.retire(next(iter(old))))
        at.keys.refresh()
        assert await known_by(at, "/v1/keys", old) is None

    visit(tmp_path, story)


def test_keys_are_told_unasked_by_whom(tmp_path: Path) -> None:
    """A request need not be signed; the answer is, and holds no private half."""

    async def story(at: Endpoint) -> None:
        bare = at.hall.prepare("GET", "/v1/keys")
        unsigned = type(bare)(bare.method, bare.path, {}, b"")
        told = (await at.send(unsigned)).ok(200)
        assert set(told) == {"transport", "signing"}
        secrets = {base64.b64encode(key.secret.reveal()).decode() for key in at.keys.ring.keys}
        assert not secrets & {one["public"] for kind in told.values() for one in kind}

    visit(tmp_path, story)


def test_an_answer_fits_no_other_request(tmp_path: Path) -> None:
    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        one, other = (at.hall.prepare("GET", f"{inside}/balance") for _ in range(2))
        said = await at.send(one)
        at.believed(said, one)
        with pytest.raises(AssertionError):
            at.believed(said, other)

    visit(tmp_path, story)


def test_an_answer_that_was_had_with_a_stolen_signature_is_not_believed(tmp_path: Path) -> None:
    """Who stands between terminal and server sends the signature of an order with a request of their own.

    Those are answered by the server in earnest: with its keys, that there is no such thing, that it was not signed.
    """

    async def story(at: Endpoint) -> None:
        inside = await at.hall.visit(await at.number())
        held = at.hall.prepare("POST", f"{inside}/orders", {"quote": "no-1"})
        stolen = {"Signature": held.headers["Signature"]}
        bound = {name: held.headers[name] for name in ("Content-Digest", "Idempotency-Key")}
        for method, path, headers in [
            ("GET", "/v1/keys", stolen),
            ("GET", "/v1/nothing-here", stolen),
            ("GET", f"{inside}/balance", {**stolen, **bound}),
            ("POST", f"{inside}/quotes", {**stolen, **bound}),
            ("POST", f"{inside}/orders", stolen),
            ("POST", f"{inside}/orders", {**stolen, **bound, "Idempotency-Key": "another"}),
        ]:
            said = await at.send(Prepared(method, path, headers, b""))
            assert said.signed is not None
            with pytest.raises(AssertionError, match="signature-invalid"):
                at.believed(said, held)
        (await at.send(held)).refused("quote-unknown")

    visit(tmp_path, story)
