"""A full disk, a refused password, a slow operator, a crash, a stop: nothing is lost or half-done."""

import json
import re
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import ussd_server
from smpp.constants import CommandId, Status
from tests.acceptance.conftest import Service
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import BEGIN, END, MENU, ServerProcess, run_to_end, running

STOP_S = 10
UNSURE = "Не знаем, выполнено ли это"
"""What is said where a write was broken off at its very end: the log may hold it, which who opens the file finds."""
SHIPPED_FLOWS = Path(ussd_server.__file__).with_name("flows.yaml")


@contextmanager
def serving(gateway: Gateway, data: Path, **settings: str) -> Iterator[Service]:
    """Run a server of a test's own, bound; `settings` go by the environment."""
    environment = {f"USSD_SERVER_{name.upper()}": value for name, value in settings.items()}
    with running(data, smsc=gateway.url, environment=environment) as server:
        gateway.accept()
        yield Service(server, gateway, data)


def stop(service: Service) -> int:
    """Ask the server to stop, let it unbind, and return its exit status."""
    service.server.process.terminate()
    service.gateway.wait_closed()
    return service.server.wait(STOP_S)


def errors(server: ServerProcess) -> list[dict[str, object]]:
    """Return the log lines of level error, and worse."""
    found = [json.loads(line) for line in server.lines if line.startswith("{")]
    return [line for line in found if line.get("level") in ("error", "critical")]


# The disk -----------------------------------------------------------------------------------------------------------


def wait_for_postponed(service: Service) -> None:
    """Return when an outbox entry was tried in vain and waits for its next try."""
    with closing(sqlite3.connect(service.data / "ussd-server.db")) as database:
        while database.execute("SELECT count(*) FROM outbox WHERE reason <> ''").fetchone() == (0,):
            service.gateway.barrier()


def rubles(balance: str) -> str:
    """Return the amount in a text."""
    found = re.search(r"\d+ руб", balance)
    assert found, balance
    return found[0]


@contextmanager
def full_disk(server: ServerProcess) -> Iterator[None]:
    """Let no file of the server grow or change any more, as on a full disk."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_server_whose_file_lost_a_write_ends_so_that_a_new_one_can_begin(gateway: Gateway, tmp_path: Path) -> None:
    """What cannot be mended by waiting is not waited out: a supervisor starts the server again."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        phone.dial("*111#")
        (tmp_path / "ussd-server.db-wal").unlink()
        assert UNSURE in phone.dial("*111#").text
        gateway.wait_closed()
        assert service.server.wait(STOP_S) == 1
        assert "only a new start can help" in service.server.log
        broken = [line["reason"] for line in errors(service.server) if line["event"] == "store_broken"]
        assert "the log was taken away" in str(broken)


def test_a_full_disk_refuses_politely_and_recovers(gateway: Gateway, tmp_path: Path) -> None:
    """While nothing can be written USSD is refused with a text, SMS with 0x64, and it all works again afterwards."""
    with serving(gateway, tmp_path) as service:
        phone, other = service.phone(), service.phone()
        with full_disk(service.server):
            refused = phone.dial("*111*2163#")
            assert refused.op == END
            assert UNSURE in refused.text
            assert other.text("2163", "111") == Status.RX_T_APPN
            assert service.server.ready()[0] == 503
            assert service.server.get("/healthz")[0] == 200
        line = service.server.wait_for_log("store unavailable")
        assert phone.msisdn not in line
        assert "Подключить" in phone.dial("*111#").text, "half of the activation was kept"
        assert other.text("2163", "111") == 0
        assert "подключён" in other.inbox()
        assert service.server.ready()[0] == 200


def test_files_that_cannot_be_written_for_a_while_lose_and_double_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """An order confirmed while nothing can be written is not made; confirmed again afterwards it is made once.

    What was taken before and waits in the outbox is carried out after, and the subscriber's place is kept.
    """
    with serving(gateway, tmp_path) as service:
        phone, writer = service.phone().activated(), service.phone()
        before = phone.dial("*100#").text
        price = phone.walk("*111#", "2", "1", "1")
        assert "Останется" in price.text
        gateway.acknowledge = Status.RSYSERR
        assert writer.text("2163", "111") == 0
        wait_for_postponed(service)
        gateway.acknowledge = 0
        with full_disk(service.server):
            assert UNSURE in phone.answer("1").text
            assert phone.text("111", "баланс") == Status.RX_T_APPN
            gateway.accept()  # the SMSC comes back meanwhile: even this needs nothing written
            assert UNSURE in phone.dial("*111#").text
            assert service.server.ready()[0] == 503
        assert "Продолжить" in phone.dial("*111#").text
        assert phone.answer("1").text == price.text
        assert phone.answer("1").ends
        receipt = phone.inbox()
        assert "изменён" in receipt
        assert "подключён" in writer.inbox()
        assert service.server.ready()[0] == 200
        left = phone.dial("*100#").text
        assert left != before
        assert rubles(left) in receipt, "charged more than once"
        service.alive()
        assert not gateway.seen(lambda message: message.destination == phone.msisdn)


# The link -----------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_loud_once_and_waits_long(gateway: Gateway, tmp_path: Path) -> None:
    """A refused password is one error line with its cause; the next try is minutes away, and /readyz says why."""
    with running(tmp_path, smsc=gateway.url) as server:
        gateway.accept(Status.RINVPASWD)
        gateway.wait_closed()
        line = json.loads(server.wait_for_log("not bound"))
        assert line["level"] == "error"
        assert line["next_try_seconds"] >= 60
        assert "secret" not in server.log
        status, content = server.ready()
        assert status == 503
        assert "RINVPASWD" in json.dumps(content)
        assert server.get("/healthz")[0] == 200
        assert len(errors(server)) == 1
        assert server.terminate() == 0


def test_an_smsc_that_is_away_is_tried_again(gateway: Gateway, tmp_path: Path) -> None:
    """When the link is lost the server binds again, and what could not be sent meanwhile is sent then."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        gateway.acknowledge = None
        assert phone.text("2163", "111") == 0
        phone.next_part()
        gateway.acknowledge = 0
        gateway.accept()
        assert "подключён" in phone.inbox()


def test_a_throttled_sms_comes_later(gateway: Gateway, tmp_path: Path) -> None:
    """An SMS that the SMSC refuses for now (0x58) is sent again and arrives once."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        gateway.acknowledge = Status.RSYSERR
        assert phone.text("2163", "111") == 0
        assert "подключён" in phone.inbox()
        gateway.acknowledge = 0
        assert "подключён" in phone.inbox()
        service.alive()
        assert not gateway.seen(lambda message: message.destination == phone.msisdn)


def test_an_sms_that_is_refused_for_good_is_given_up(gateway: Gateway, tmp_path: Path) -> None:
    """An SMS that the SMSC refuses for good (0x0B) is not repeated; an error line says so without the number."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        gateway.acknowledge = Status.RINVDSTADR
        assert phone.text("2163", "111") == 0
        phone.inbox()
        line = service.server.wait_for_log("given up")
        assert "RINVDSTADR" in line
        assert phone.msisdn not in line
        gateway.acknowledge = 0
        service.alive()
        assert not gateway.seen(lambda message: message.destination == phone.msisdn)


def test_an_unbind_is_answered_and_the_server_binds_again(gateway: Gateway, tmp_path: Path) -> None:
    """When the SMSC unbinds, that is answered, the link is closed, and the server binds again."""
    with serving(gateway, tmp_path) as service:
        sequence = gateway.next_sequence()
        gateway.write(bytes.fromhex("00000010 00000006 00000000") + sequence.to_bytes(4, "big"))
        assert gateway.response(sequence) == 0
        gateway.wait_closed()
        gateway.accept()
        service.alive()


# Crash and stop -----------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_a_crash(gateway: Gateway, tmp_path: Path) -> None:
    """An input that was acknowledged a moment before the process is killed is there after the restart."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        assert phone.dial("*111*2163#").ends
        assert phone.walk("*111#", "5", "2").ends
        writer = service.phone()
        assert writer.text("2163", "111") == 0
        service.server.kill()
    with serving(gateway, tmp_path):
        assert "Password" in phone.dial("*111#").text
        assert "Пароль" in writer.dial("*111#").text


def test_a_part_of_a_long_sms_survives_a_crash(gateway: Gateway, tmp_path: Path) -> None:
    """The parts of one SMS are acknowledged by a process that is killed and by its successor, which does as it says."""
    first, second = bytes((5, 0, 3, 9, 2, 1)) + b"1", bytes((5, 0, 3, 9, 2, 2)) + b"11"
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        assert gateway.deliver(phone.sms_fields("2163", esm_class=0x40, short_message=first)) == 0
        service.server.kill()
    with serving(gateway, tmp_path):
        assert gateway.deliver(phone.sms_fields("2163", esm_class=0x40, short_message=second)) == 0
        assert "подключён" in phone.inbox()


def test_an_sms_that_was_sent_before_a_crash_is_ended_by_its_receipt_after_it(gateway: Gateway, tmp_path: Path) -> None:
    """The receipt of an SMS that a process sent before it was killed is matched by its successor, once."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        assert phone.text("2163", "111") == 0
        phone.inbox()
        with closing(sqlite3.connect(service.data / "ussd-server.db")) as database:
            while database.execute("SELECT count(*) FROM outbox WHERE kind = 'delivery'").fetchone() == (0,):
                gateway.barrier()
        service.server.kill()
    told = f"id:{gateway.submits} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()
    with serving(gateway, tmp_path):
        for _ in range(2):
            assert gateway.deliver(phone.sms_fields("2163", esm_class=4, short_message=told)) == 0
        status, journal = run_to_end("subscriber", "journal", phone.msisdn, "--data", str(tmp_path), cwd=tmp_path)
    assert status == 0, journal
    assert len(re.findall(r"sms ended +delivered", journal)) == 1, journal


def test_an_sms_without_a_response_at_a_crash_is_sent_again_and_ends_once(gateway: Gateway, tmp_path: Path) -> None:
    """The receipt of the first try, faster than the response that never came, ends nothing; that of the second does."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        gateway.acknowledge = None
        assert phone.text("2163", "111") == 0
        first = phone.inbox()
        assert gateway.deliver(phone.sms_fields("2163", esm_class=4, short_message=_told("first"))) == 0
        service.server.kill()
    gateway.acknowledge = 0
    with serving(gateway, tmp_path):
        assert phone.inbox() == first
        for message_id in ("1", "1", "first"):  # the gateway counts those that it answered
            assert gateway.deliver(phone.sms_fields("2163", esm_class=4, short_message=_told(message_id))) == 0
        with closing(sqlite3.connect(tmp_path / "ussd-server.db")) as database:
            while database.execute("SELECT count(*) FROM outbox").fetchone() != (0,):
                gateway.barrier()
        status, journal = run_to_end("subscriber", "journal", phone.msisdn, "--data", str(tmp_path), cwd=tmp_path)
    assert status == 0, journal
    assert re.findall(r"sms ended +(\w+)|given_up", journal) == ["delivered"], journal


def _told(message_id: str) -> bytes:
    return f"id:{message_id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()


def test_a_dialogue_survives_a_crash(gateway: Gateway, tmp_path: Path) -> None:
    """A subscriber whose dialogue is open when the process is killed answers to its successor and goes on."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone().activated()
        phone.walk("*111#", "2")
        service.server.kill()
    with serving(gateway, tmp_path):
        assert "Супер Ноль: " in phone.answer("1").text


def test_an_sms_that_waits_survives_a_stop(gateway: Gateway, tmp_path: Path) -> None:
    """An SMS that could not be sent before a stop is sent after the next start."""
    with serving(gateway, tmp_path) as service:
        phone = service.phone()
        gateway.acknowledge = Status.RSYSERR
        assert phone.text("2163", "111") == 0
        phone.inbox()
        assert stop(service) == 0
    gateway.acknowledge = 0
    with serving(gateway, tmp_path):
        assert "подключён" in phone.inbox()


def test_a_stop_finishes_turns_and_unbinds(gateway: Gateway, tmp_path: Path) -> None:
    """On SIGTERM a turn under way is answered, the link is unbound, and the process ends with 0 in ten seconds."""
    with serving(gateway, tmp_path, operator_delay_s="1") as service:
        phone = service.phone()
        phone.session = 1
        sequence = gateway.send(phone.ussd_fields("*100#", BEGIN))
        gateway.barrier()
        service.server.process.terminate()
        assert gateway.response(sequence) == 0
        assert "Баланс" in phone.screen().text
        gateway.take("an unbind", lambda pdu: pdu.command == CommandId.UNBIND)
        gateway.wait_closed()
        assert service.server.wait(STOP_S) == 0
        assert not errors(service.server)


def test_a_stop_does_not_wait_for_a_dead_smsc(gateway: Gateway, tmp_path: Path) -> None:
    """An SMSC that answers nothing any more, not even the unbind, does not keep the server longer than ten seconds."""
    with serving(gateway, tmp_path) as service:
        assert service.phone().text("2163", "111") == 0
        service.server.process.terminate()
        assert service.server.wait(STOP_S) == 0


# Changing the flow --------------------------------------------------------------------------------------------------


def test_a_flow_with_mistakes_is_not_taken_over(gateway: Gateway, tmp_path: Path) -> None:
    """On SIGHUP a better flow is taken over; one with mistakes is one error line, and the one in force stays."""
    flows = tmp_path / "mine.yaml"
    shipped = SHIPPED_FLOWS.read_text(encoding="utf-8")
    flows.write_text(shipped, encoding="utf-8")
    with serving(gateway, tmp_path / "data", flows=str(flows)) as service:
        flows.write_text(shipped.replace("to: order_code", "to: nowhere", 1), encoding="utf-8")
        service.server.process.send_signal(signal.SIGHUP)
        line = service.server.wait_for_log("not reloaded")
        assert "nowhere" in line
        assert f"{flows}:" in line
        service.alive()
        flows.write_text(shipped.replace("menu: {ru: Помощник,", "menu: {ru: Меню,"), encoding="utf-8")
        service.server.process.send_signal(signal.SIGHUP)
        service.server.wait_for_log("flow reloaded")
        assert service.phone().dial("*111#").text.startswith("Меню")


# A slow operator ----------------------------------------------------------------------------------------------------


def test_a_slow_operator_is_answered_by_sms(gateway: Gateway, tmp_path: Path) -> None:
    """When the operator takes longer than the dialogue may, the subscriber is told that an SMS follows, and it does."""
    with serving(gateway, tmp_path, operator_delay_s="1", dialogue_deadline_s="0.3") as service:
        phone = service.phone()
        told = phone.dial("*100#")
        assert told.op == END
        assert "Ответ придёт по SMS" in told.text
        assert "Баланс: 150 руб." in re.sub(r"\s", " ", phone.inbox())


def test_a_slow_list_goes_on_by_sms(gateway: Gateway, tmp_path: Path) -> None:
    """A list that came too late for the dialogue is sent by SMS, and its options can be answered by SMS."""
    with serving(gateway, tmp_path, operator_delay_s="1", dialogue_deadline_s="0.3") as service:
        phone = service.phone().activated()
        assert "Ответ придёт по SMS" in phone.walk("*111#", "2").text
        assert "Супер Ноль" in phone.inbox()
        assert phone.text("111", "1") == 0
        assert "Супер Ноль: " in phone.inbox()


def test_others_do_not_wait_for_a_slow_operator(gateway: Gateway, tmp_path: Path) -> None:
    """While one subscriber waits for the operator, another's menu is answered: the screens come in the other order."""
    with serving(gateway, tmp_path, operator_delay_s="4") as service:
        waiting, other = service.phone(), service.phone()
        waiting.session = other.session = 1
        fields = [phone.ussd_fields(code, BEGIN) for phone, code in ((waiting, "*100#"), (other, "*111#"))]
        sequence, _ = gateway.send_together(fields)
        first = gateway.expect("a screen", lambda message: message.op is not None)
        assert (first.destination, first.op) == (other.msisdn, MENU)
        assert gateway.response(sequence) == 0
        assert "Баланс" in waiting.screen().text
