"""What runs until it is stopped: the demonstration and the simulator, as processes of their own."""

import asyncio
import io
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
from aiohttp import ClientSession

from tests.signalled import Point, signalled, signalling
from tests.ussd_server.simulator.esme import PATIENCE_S
from ussd_server.simulator import protocol
from ussd_server.simulator.dial import dial

ANY_PORTS = ("--http", "127.0.0.1:0", "--smpp", "127.0.0.1:0")


@contextmanager
def started(
    *arguments: str, until: str, program: Sequence[str] = (sys.executable, "-m", "ussd_server")
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a command in the working directory and read what it says up to the line that holds `until`."""
    process = subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if until in line:
                break
        else:
            _, trouble = process.communicate()
            raise AssertionError(f"it ended before it said {until!r}: {said}{trouble}")
        yield process, said
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], by: signal.Signals) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(by)
    process.communicate(timeout=30)
    return process.returncode


def refused(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ussd_server", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


@pytest.fixture(autouse=True)
def _own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_demonstration_says_where_to_go_and_is_ready_there() -> None:
    with started("demo", *ANY_PORTS, until="Stop with Ctrl-C.") as (process, said):
        address = re.search(r"Open +(http://127\.0\.0\.1:\d+/) and dial \*111#", said)
        assert address is not None, said
        assert "first start: keys were made in var/keys.json" in said
        with urlopen(address[1]) as page:
            assert page.headers["Content-Type"].startswith("text/html")
        kiosk = re.search(r"Kiosk +(http://\S+)", said)
        assert kiosk is not None, said
        assert kiosk[1].startswith(address[1])
        with urlopen(kiosk[1]) as page:
            assert b"<title>" in page.read()
        with urlopen(f"{address[1]}healthz") as health:
            assert health.status == 200
        with urlopen(f"{address[1]}metrics") as metrics:
            assert b'ussd_server_link_bound{link="smpp://ussd@' in metrics.read()
        assert ended(process, signal.SIGINT) == 0


def test_the_demonstration_names_a_command_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was not started by its own name, and that is not on the path."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with started("demo", *ANY_PORTS, until="Stop with Ctrl-C.") as (_, said):
        told = re.search(r"Or here +(.+ dial \d+ --http \S+)", said)
        assert told is not None, said
        done = subprocess.run(
            shlex.split(told[1]), input="*111#\n", capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "1. Подключить" in done.stdout


def command(*arguments: str) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "ussd_server", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def typed(lines: str, phone: str, url: str, reply_s: float) -> tuple[int, str]:
    """Type these lines at a phone that waits so long for an SMS; return the exit code and what was printed."""
    printed = io.StringIO()
    return asyncio.run(dial(phone, url, io.StringIO(lines), printed, reply_s)), printed.getvalue()


@pytest.mark.parametrize("end", ["delivered", "failed", "expired"])
def test_a_long_sms_from_a_phone_is_one_command_and_the_journal_tells_how_its_answer_ended(end: str) -> None:
    phone = "79100000001"
    with started("demo", *ANY_PORTS, "--simulator-receipts", end, until="Stop with Ctrl-C.") as (process, said):
        address = re.search(r"Open +(http://127\.0\.0\.1:\d+/)", said)
        assert address is not None
        # Two parts, and only the last one says what is wanted.
        comes = end == "delivered"
        code, printed = typed(f"/sms 2163 {' ' * 200}111\n", phone, address[1], PATIENCE_S if comes else 0.5)
        shown = "SMS 2163: Помощник подключён" if comes else "No SMS came from 2163 within 0.5 s."
        assert (code, shown in printed) == (int(not comes), True), printed
        for _ in range(20):
            told = command("subscriber", "journal", phone)
            if "sms ended" in told:
                break
        assert re.search(rf"sms ended +{end}; sent: ", told), told
        assert "activated" in told
        assert ended(process, signal.SIGTERM) == 0


def test_a_second_start_makes_no_keys() -> None:
    for first in (True, False):
        with started("demo", *ANY_PORTS, until="Stop with Ctrl-C.") as (process, said):
            assert ("keys were made" in said) is first
            assert ended(process, signal.SIGTERM) == 0


def test_the_simulator_alone_takes_any_service() -> None:
    with started("smsc", *ANY_PORTS, until="Stop with Ctrl-C.") as (process, said):
        page = re.search(r"http://127\.0\.0\.1:\d+/", said)
        smpp = re.search(r"smpp://127\.0\.0\.1:(\d+)", said)
        assert page is not None
        assert smpp is not None
        with urlopen(page[0]) as answer:
            assert answer.status == 200
        socket.create_connection(("127.0.0.1", int(smpp[1]))).close()
        assert ended(process, signal.SIGTERM) == 0


def test_a_dialect_of_ones_own_is_spoken_from_the_phone_to_the_service() -> None:
    Path("own.yaml").write_text(
        "base: sixdee\nsent: {end: 0x17}\nreceived: {dialled: destination_addr, abort: [0x99]}\n", encoding="utf-8"
    )
    with started("smsc", *ANY_PORTS, "--dialect", "own.yaml", until="Stop with Ctrl-C.") as (_, said):
        assert "?dialect=own.yaml" in said
        smpp, page = re.search(r"smpp://(127\.0\.0\.1:\d+)", said), re.search(r"http://(127\.0\.0\.1:\d+)/", said)
        assert smpp is not None
        assert page is not None
        url = f"smpp://any:any@{smpp[1]}?dialect=own.yaml"
        with started("run", "--smsc", url, "--http", "127.0.0.1:0", "--log-format", "json", until="readyz") as (run, _):
            assert run.stderr is not None
            assert any('"bound"' in line for line in run.stderr)
            dialled = subprocess.run(
                [sys.executable, "-m", "ussd_server", "dial", "79100000001", "--http", page[1]],
                input="*111*2163#\n*111#\n2\n",
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert dialled.returncode == 0, dialled.stdout + dialled.stderr
            assert "подключён" in dialled.stdout
            assert "Супер Ноль" in dialled.stdout
            assert ended(run, signal.SIGTERM) == 0


def test_the_simulator_plays_a_script_of_faults() -> None:
    Path("day.yaml").write_text("faults: [{fault: delay, for: 60 min, by: 1 s}]")
    with started("smsc", *ANY_PORTS, "--faults", "day.yaml", until="Stop with Ctrl-C.") as (process, said):
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert address is not None

        async def hello() -> protocol.AnyEvent:
            async with ClientSession() as session, session.ws_connect(f"{address[0]}socket") as line:
                return msgspec.json.decode((await line.receive()).data, type=protocol.AnyEvent)

        event = asyncio.run(hello())
        assert isinstance(event, protocol.Hello)
        assert [going.kind for going in event.network.faults] == ["delay"]
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (
            "faults:\n  - {fault: dorp}\n  - {fault: slow}\n",
            [
                "error: day.yaml:2:13: fault: 'dorp' is not known; did you mean 'drop'?",
                "error: day.yaml:3:5: for: slow needs it; slow reads nothing",
            ],
        ),
        (None, ["error: --faults day.yaml: the file cannot be read: No such file or directory"]),
    ],
    ids=["mistaken", "missing"],
)
def test_a_script_of_faults_that_cannot_be_used_is_2_with_its_mistakes(content: str | None, lines: list[str]) -> None:
    if content is not None:
        Path("day.yaml").write_text(content)
    command = [sys.executable, "-m", "ussd_server", "smsc", *ANY_PORTS, "--faults", "day.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.splitlines()) == (2, lines)


@pytest.mark.parametrize(("option", "other"), [("--http", "--smpp"), ("--smpp", "--http")])
@pytest.mark.parametrize("command", ["demo", "smsc"])
def test_a_port_in_use_is_one_line(command: str, option: str, other: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = refused(command, option, address, other, "127.0.0.1:0")
    assert code == 1
    assert line == f"error: {option} {address}: the port is in use; choose another with {option} HOST:PORT\n"


def test_a_host_that_is_not_there_is_one_line() -> None:
    code, line = refused("smsc", "--smpp", "no-such-host.invalid:2775")
    assert code == 1
    assert line == "error: --smpp no-such-host.invalid:2775: there is no such host\n"


@pytest.mark.parametrize("option", ["--catalogue", "--flows"])
@pytest.mark.parametrize("content", ["tariffs: [", None], ids=["mistaken", "missing"])
def test_a_named_file_that_cannot_be_used_is_2_and_makes_no_keys(option: str, content: str | None) -> None:
    if content is not None:
        Path("c.yaml").write_text(content, encoding="utf-8")
    code, line = refused("demo", *ANY_PORTS, option, "c.yaml")
    assert code == 2
    assert "c.yaml" in line
    assert not Path("var/keys.json").exists()


NO_DATABASE = b"this is no database, and long enough not to be taken for one" * 100


def test_no_keys_are_made_for_a_store_that_cannot_be_used() -> None:
    Path("var").mkdir()
    Path("var/ussd-server.db").write_bytes(NO_DATABASE)
    code, line = refused("demo", *ANY_PORTS)
    assert code == 1
    assert "var/ussd-server.db: this is no SQLite database" in line
    assert not Path("var/keys.json").exists()


def test_a_failed_start_announces_the_keys_that_it_made() -> None:
    Path("var").mkdir()
    Path("var/operator.db").write_bytes(NO_DATABASE)
    code, line = refused("demo", *ANY_PORTS)
    assert code == 1
    assert line.endswith("; keys were made in var/keys.json, keep a copy\n")
    assert Path("var/keys.json").exists()


def test_a_second_demonstration_on_the_same_data_is_refused() -> None:
    with started("demo", *ANY_PORTS, until="Stop with Ctrl-C.") as (process, _):
        code, line = refused("demo", *ANY_PORTS)
        assert code == 1
        assert line == (
            "error: --data var: another demo uses it; stop that one, or give this one --data, --http and --smpp "
            "of its own\n"
        )
        process.kill()
        process.communicate()
    with started("demo", *ANY_PORTS, until="Stop with Ctrl-C."):
        pass  # what was killed holds nothing


def test_a_data_directory_that_cannot_be_made_is_one_line() -> None:
    Path("file").touch()
    code, line = refused("demo", *ANY_PORTS, "--data", "file/var")
    assert (code, line) == (2, "error: --data: file is a file; name a directory\n")


def test_a_server_whose_output_nobody_can_read_serves_all_the_same() -> None:
    words = [sys.executable, "-m", "ussd_server", "demo", *ANY_PORTS, "--log-format", "json"]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(words, stdout=full, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("kiosk reached the server" in line for line in process.stderr)
        assert ended(process, signal.SIGTERM) == 0
    finally:
        process.kill()


def test_an_output_on_a_full_disk_is_one_line() -> None:
    words = [sys.executable, "-m", "ussd_server", "flows", "draw"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: the output: No space left on device\n")


def test_a_hang_up_reads_the_flows_again() -> None:
    with started("demo", *ANY_PORTS, "--log-format", "json", until="Stop with Ctrl-C.") as (process, _):
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("flow reloaded" in line for line in process.stderr)
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize(
    "point",
    [
        Point("import", "ussd_server.cli.program"),
        Point("import", "ussd_server.cli.parts"),
        Point("open", "flows.yaml"),
    ],
    ids=lambda point: point.name,
)
def test_a_hang_up_at_any_time_of_a_start_reads_the_flows_again_after_it(point: Point) -> None:
    """It comes as the commands are loaded, as the server is, and as the flows are just being read."""
    words = ("demo", *ANY_PORTS, "--log-format", "json")
    with started(*words, until="Stop with Ctrl-C.", program=signalling(signal.SIGHUP, point)) as (process, _):
        assert process.stderr is not None
        assert any("flow reloaded" in line for line in process.stderr)
        assert ended(process, signal.SIGTERM) == 0


def test_a_hang_up_ends_a_command_that_reads_nothing_again() -> None:
    """As when its terminal is closed."""
    assert signalled(("keys", "list"), signal.SIGHUP, Point("import", "ussd_server.cli.program")).code == -signal.SIGHUP


def test_a_reload_of_a_flow_with_mistakes_keeps_the_old_one() -> None:
    shipped = Path(__file__).parents[3] / "flows.yaml"
    Path("flows.yaml").write_bytes(shipped.read_bytes())
    with started("demo", *ANY_PORTS, "--log-format", "json", until="Stop with Ctrl-C.") as (process, said):
        assert re.search(r"Flows +flows.yaml", said)
        Path("flows.yaml").write_text("nodes: [", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("flow not reloaded" in line for line in process.stderr)
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert address is not None
        with urlopen(f"{address[0]}healthz") as health:
            assert health.status == 200
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("module", ["ussd_server.cli.program", "rich.progress", "ussd_server.stores.redis.store"])
def test_ctrl_c_at_any_time_ends_a_command_quietly_with_130(module: str) -> None:
    """It comes as that module is loaded: the first of the command line, one of its libraries, and one of a command."""
    words = ("dead-letters", "list", "--store", "redis://127.0.0.1:1/0")
    assert signalled(words, signal.SIGINT, Point("import", module)) == (130, "", "")
