"""`smpps://`: the server binds where the SMSC's certificate holds, and says why where it does not."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.acceptance.conftest import Service, new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import ServerProcess, running

AUTHORITY = trustme.CA()


@contextmanager
def listening(*names: str) -> Iterator[Gateway]:
    """An SMSC with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    gateway = Gateway(tls=context)
    try:
        yield gateway
    finally:
        gateway.close()


@contextmanager
def serving(data: Path, url: str, trusted: trustme.CA = AUTHORITY) -> Iterator[ServerProcess]:
    """A server on a machine that trusts one authority, which OpenSSL is told by SSL_CERT_FILE."""
    authorities = data / "authorities.pem"
    trusted.cert_pem.write_to_path(str(authorities))
    environment = {"SSL_CERT_FILE": str(authorities), "SSL_CERT_DIR": str(data / "none")}
    with running(data, smsc=url, environment=environment) as server:
        yield server


def by_address(gateway: Gateway) -> str:
    return gateway.url


def by_name(gateway: Gateway) -> str:
    return gateway.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize(("name", "url"), [("127.0.0.1", by_address), ("localhost", by_name)])
def test_a_certificate_that_holds_binds(tmp_path: Path, name: str, url: Callable[[Gateway], str]) -> None:
    """With a certificate of a trusted authority for the host as it is written in the URL, the service works."""
    with listening(name) as gateway, serving(tmp_path, url(gateway)) as server:
        gateway.accept()
        server.wait_for_log("bound", "smpps://")
        phone = new_phone(gateway).activated()
        assert phone.text("2163", "111") == 0
        assert "подключён" in phone.inbox()
        assert server.ready()[0] == 200
        Service(server, gateway, tmp_path).alive()


@pytest.mark.parametrize(
    ("name", "trusted", "cause"),
    [
        ("127.0.0.1", trustme.CA(), "certificate verify failed"),
        ("smsc.example", AUTHORITY, "IP address mismatch"),
    ],
    ids=["an authority that is not trusted", "another host's certificate"],
)
def test_a_certificate_that_does_not_hold_is_refused(
    tmp_path: Path, name: str, trusted: trustme.CA, cause: str
) -> None:
    """No bind goes out, so the password does not; the log says what is wrong with the certificate, and /readyz 503."""
    with listening(name) as gateway, serving(tmp_path, gateway.url, trusted) as server:
        for _ in range(2):  # it is tried again
            with pytest.raises(ssl.SSLError):
                gateway.accept()
        line = json.loads(server.wait_for_log("not bound"))
        assert cause in line["cause"]
        assert line["smsc"] == by_address(gateway).replace(":secret", "")
        assert "Traceback" not in server.log
        assert "secret" not in server.log
        assert server.ready()[0] == 503
        assert server.get("/healthz")[0] == 200
        assert server.terminate() == 0


def test_an_smsc_without_tls_is_refused(tmp_path: Path) -> None:
    """Where `smpps://` is written, a port that speaks plain SMPP never sees a bind; the log says so."""
    gateway = Gateway()
    with serving(tmp_path, gateway.url.replace("smpp:", "smpps:")) as server:
        connection, _ = gateway.listener.accept()
        with connection:
            hello = connection.recv(65536)
            assert hello[0] == 0x16, "not a TLS handshake"
            assert b"secret" not in hello
            connection.sendall(bytes.fromhex("00000010 80000000 00000003 00000000"))  # generic_nack: no such command
            assert json.loads(server.wait_for_log("not bound"))["cause"]
        assert server.terminate() == 0
    gateway.close()
