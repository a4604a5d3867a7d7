"""Two operators at once, one by two connections, of which one is lost in the middle; TLS with what the URL says."""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trustme

from smpp.constants import CommandId
from smpp.pdu import Outbind, Password
from tests.acceptance.conftest import Service, new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import ServerProcess, run_to_end, running
from tests.ports import free_port


@contextmanager
def two_operators(data: Path) -> Iterator[tuple[ServerProcess, list[Gateway], Gateway]]:
    """A server with two transceivers at one operator and one at another, all bound."""
    first, other = Gateway(), Gateway()
    links = [first, Gateway(listener=first.listener)]
    second = f"{other.url}?system_type=USSD&ussd_gsm=15"
    with ExitStack() as ends:
        for link in (*links, other):
            ends.callback(link.close)
        server = ends.enter_context(running(data, "--smsc", second, smsc=f"{first.url}?binds=2"))
        for link in (*links, other):
            bind = link.accept()
            assert bind.command == CommandId.BIND_TRANSCEIVER
            assert bind.system_type == ("USSD" if link is other else "")
        yield server, links, other


def test_each_dialogue_stays_on_its_connection_and_each_sms_with_its_operator(tmp_path: Path) -> None:
    """Answers go back where the input came from, and SMS by the operator whose subscriber it is."""
    with two_operators(tmp_path) as (server, links, other):
        phones = [new_phone(link).activated() for link in (*links, other)]
        for phone in phones:
            assert phone.walk("*111#", "2").text
        assert phones[2].history[0].data_coding in (0x0F, 8)
        mine = new_phone(other)
        assert mine.text("2163", "111") == 0
        assert "подключён" in mine.inbox()
        assert server.metric("ussd_server_binds", link=links[0].url.replace(":secret", "")) == 2


def test_a_connection_that_is_lost_in_the_middle_leaves_its_work_to_the_other(tmp_path: Path) -> None:
    """The server stays ready, dialogues of the other connection go on, SMS too; the lost one comes back."""
    with two_operators(tmp_path) as (server, links, other):
        lost, left = links
        phone, elsewhere = new_phone(left).activated(), new_phone(other).activated()
        assert phone.walk("*111#", "2").text
        lost.hang_up()
        server.wait_for_log("link closed", "transceiver")
        assert "Супер Ноль: " in phone.answer("1").text
        assert phone.text("111", "баланс") == 0
        assert "Баланс" in phone.inbox()
        assert elsewhere.dial("*111#").text
        assert server.ready()[0] == 200
        lost.accept()
        assert new_phone(lost).dial("*111#").text
        assert server.terminate() == 0


AUTHORITY = trustme.CA()


@pytest.fixture
def own_ca(tmp_path: Path) -> str:
    """A file with the authority, which the system does not trust."""
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def test_an_authority_of_our_own_a_client_certificate_and_another_name(tmp_path: Path, own_ca: str) -> None:
    """All that an operator with its own certificates asks for is in the URL."""
    ours = AUTHORITY.issue_cert("ussd.example")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ours.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("smsc.example").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    options = f"tls=1&ca_file={own_ca}&certificate={tmp_path / 'ours.pem'}&server_name=smsc.example"
    with closing(Gateway(tls=context)) as gateway:
        url = gateway.url.replace("smpps://", "smpp://")
        with running(tmp_path, smsc=f"{url}?{options}") as server:
            gateway.accept()
            server.wait_for_log("bound", "smpps://")
            Service(server, gateway, tmp_path).alive()


@pytest.mark.parametrize(
    ("names", "issuer", "cause"),
    [
        (["127.0.0.1"], trustme.CA(), "certificate verify failed"),
        (["smsc.example"], AUTHORITY, "IP address mismatch"),
    ],
    ids=["another authority", "another name"],
)
def test_a_certificate_that_the_file_does_not_vouch_for_is_refused(
    tmp_path: Path, own_ca: str, names: list[str], issuer: trustme.CA, cause: str
) -> None:
    """No bind goes out; the log and `/readyz` say what is wrong with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names).configure_cert(context)
    with (
        closing(Gateway(tls=context)) as gateway,
        running(tmp_path, smsc=f"{gateway.url}?ca_file={own_ca}") as server,
    ):
        with pytest.raises(ssl.SSLError):
            gateway.accept()
        line = json.loads(server.wait_for_log("not bound"))
        assert cause in line["cause"]
        status, checks = server.ready()
        assert status == 503
        assert cause in json.dumps(checks)
        assert "secret" not in server.log


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("windw=3", "unknown option 'windw' after the ?; did you mean window?"),
        ("binds=0", "binds=0: it is a whole number from 1 to 32"),
        ("ca_file=/none.pem", "ca_file is for TLS: write smpps://, or add tls=1"),
    ],
)
def test_a_mistake_in_a_url_ends_the_start_in_one_line(tmp_path: Path, options: str, told: str) -> None:
    """The line names the option and the mend, and not the password; nothing was made."""
    status, output = run_to_end("run", "--smsc", f"smpp://user:hidden@h?{options}", cwd=tmp_path)
    assert (status, output) == (2, f"error: --smsc: {told}\n")
    assert list(tmp_path.iterdir()) == []


def test_an_smsc_that_calls_us_is_bound_to_if_it_is_the_right_one(tmp_path: Path) -> None:
    """The server waits at its port; a stranger gets no bind, the operator's outbind does, and is served."""
    Path(tmp_path / "theirs").write_text("t0ken", encoding="utf-8")
    port = free_port()
    url = f"smpp://us:secret@127.0.0.1:{port}?outbind_password_file={tmp_path / 'theirs'}"
    with closing(Gateway()) as gateway, running(tmp_path / "data", smsc=url) as server:
        server.wait_for_log("not bound", "waits for the SMSC's call")
        gateway.call(port, Outbind(sequence=1, system_id="SMSC", password=Password("guess")))
        gateway.wait_closed()
        assert json.loads(server.wait_for_log("another name or password"))["level"] == "error"
        bind = gateway.called(port, Outbind(sequence=1, system_id="SMSC", password=Password("t0ken")))
        assert (bind.system_id, bind.password) == ("us", Password("secret"))
        assert new_phone(gateway).dial("*111#").text
        assert server.ready()[0] == 200
        assert "t0ken" not in server.log
