"""What is in `deploy/` is what systemd takes and the server understands."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.conftest import new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import COMMAND, PATIENCE_S, ServerProcess, own_environment
from tests.acceptance.switch import Switch
from tests.acceptance.test_key_rotation import order_code
from tests.acceptance.units import DEPLOY, Notified, UnitFile, Units
from tests.chaos.disks import why_not
from tests.ports import free_port
from ussd_server.cli.process import STOP_S
from ussd_server.cli.supervision import READY_S

MOST_EXPOSED = 20
"""`systemd-analyze security` counts up to 100; below 20 is what it calls OK, and nobody is asked twice."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are installed, but for where the program and its settings are."""
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/ussd-server/.venv/bin/ussd-server", COMMAND)
        (tmp_path / path.name).write_text(text.replace("/etc/ussd-server/", f"{tmp_path}/"), encoding="utf-8")
    shutil.copy(tmp_path / "ussd-server@.service", tmp_path / "ussd-server@8081.service")
    return tmp_path


def analyze(*words: str, place: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    assert analyze("verify", "--man=no", "./ussd-server@8081.service", "./ussd-server.target", place=units) == (0, "")


def test_systemd_would_find_a_mistake_in_a_unit(units: Path) -> None:
    with (units / "ussd-server@8081.service").open("a", encoding="utf-8") as unit:
        unit.write("\n[Service]\nWatchdogSeconds=3\n")
    code, said = analyze("verify", "--man=no", "./ussd-server@8081.service", place=units)
    assert "'WatchdogSeconds'" in said, (code, said)


def test_a_server_may_do_little_else_than_serve(units: Path) -> None:
    words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "./ussd-server@8081.service")
    code, said = analyze(*words, place=units)
    assert code == 0, said


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Notified]:
    socket = Notified(tmp_path / "notify")
    yield socket
    socket.close()


@pytest.fixture
def unit(gateway: Gateway, units: Path) -> UnitFile:
    """The unit of a server that is to bind to the gateway, with what an operator writes beside it."""
    port = free_port()
    (units / "settings.toml").write_text(f'smsc = ["{gateway.url}"]\n', encoding="utf-8")
    (units / f"{port}.env").write_text("USSD_SERVER_LOG_FORMAT=json\n", encoding="utf-8")
    return UnitFile(units / "ussd-server@.service", port, units)


@contextmanager
def started(unit: UnitFile, told: Notified, *within: str) -> Iterator["subprocess.Popen[str]"]:
    """Start what a unit starts, as the unit says; the watchdog is in a hundred times more of a hurry."""
    watchdog = {"WATCHDOG_USEC": f"{unit.seconds('WatchdogSec') * 10_000:.0f}"}
    place = Path(unit.one("WorkingDirectory"))
    place.mkdir(int(unit.one("StateDirectoryMode"), 8))
    with subprocess.Popen(
        [*within, *unit.words("ExecStart")],
        cwd=place,
        env=own_environment(unit.environment() | watchdog | {"NOTIFY_SOCKET": str(told.path)}),
        umask=int(unit.one("UMask"), 8),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_unit_is_ready_at_the_bind_lives_reloads_and_stops(gateway: Gateway, unit: UnitFile, told: Notified) -> None:
    """The server takes what the unit sets, and tells systemd when it is bound, that it lives, and that it stops."""
    with started(unit, told) as process:
        told.wait_for("STATUS=not bound yet")
        told.wait_for("WATCHDOG=1")
        assert "READY=1" not in told.said
        gateway.accept()
        told.wait_for("READY=1")
        assert told.said[-1] == "STATUS=bound"
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)
        del told.said[:]
        told.wait_for("WATCHDOG=1")
        subprocess.run([word.replace("$MAINPID", str(process.pid)) for word in unit.words("ExecReload")], check=True)
        assert process.stderr is not None
        assert any('"flow reloaded"' in line for line in process.stderr)
        process.terminate()
        told.wait_for("STOPPING=1")
        gateway.wait_closed()
        assert process.wait(unit.seconds("TimeoutStopSec")) == 0
    state = Path(unit.one("WorkingDirectory"))
    assert {file.name for file in state.iterdir()} >= {"keys.json", "ussd-server.db", "operator.db"}
    assert {file.stat().st_mode & 0o777 for file in state.iterdir()} == {0o600}


def test_systemd_waits_as_long_as_a_start_and_a_stop_may_take(unit: UnitFile) -> None:
    assert unit.seconds("TimeoutStartSec") > READY_S
    assert unit.seconds("TimeoutStopSec") > STOP_S


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_server_does_all_its_work_with_the_system_calls_that_its_unit_allows(
    gateway: Gateway, unit: UnitFile, told: Notified, tmp_path: Path
) -> None:
    """Every other call fails as the unit has it fail; a code is the one work that is done by threads of their own."""
    assert unit.one("SystemCallErrorNumber") == "EPERM"
    others = "!" + ",".join(f"?{name}" for name in sorted(unit.calls()))  # ?: systemd knows other systems' calls, too
    refused = tmp_path / "refused"
    strace = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-o", str(refused))
    with started(unit, told, *strace, "-e", f"trace={others}", "-e", f"inject={others}:error=EPERM") as process:
        gateway.accept()
        told.wait_for("READY=1")
        phone = new_phone(gateway).activated()
        assert phone.dial("*111#").text
        order_code(phone)
        process.terminate()
        gateway.wait_closed()
        assert process.wait(unit.seconds("TimeoutStopSec")) == 0
    # SQLite gives its files to the owner of the database, where it is root.
    assert [line for line in refused.read_text(encoding="utf-8").splitlines() if " fchown(" not in line] == []


def test_a_server_that_hangs_gives_no_sign_of_life(gateway: Gateway, tmp_path: Path, told: Notified) -> None:
    """The signs come from the loop that does the work: while it stands still there is none, and systemd ends it."""
    environment = {"NOTIFY_SOCKET": str(told.path), "WATCHDOG_USEC": "150000"}
    server = ServerProcess(tmp_path / "data", smsc=gateway.url, environment=environment)
    try:
        gateway.accept()
        told.wait_for("READY=1")
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED | os.WNOWAIT)
        assert told.silent(0.5)
        server.process.send_signal(signal.SIGCONT)
        told.wait_for("WATCHDOG=1")
    finally:
        server.close()


# The rolling restart --------------------------------------------------------------------------------------------------


@pytest.fixture
def smscs() -> Iterator[dict[int, Gateway]]:
    """Two ports, and the SMSC of the server at each."""
    smscs = {free_port(): Gateway(), free_port(): Gateway()}
    yield smscs
    for smsc in smscs.values():
        smsc.close()


@pytest.fixture
def pair(tmp_path: Path, smscs: dict[int, Gateway]) -> Iterator[Units]:
    """Two units of which the first is ready."""

    def start(port: int, environment: dict[str, str]) -> ServerProcess:
        server = ServerProcess(tmp_path / "data", smsc=smscs[port].url, environment=environment, http_port=port)
        if port not in silent:
            smscs[port].accept()
        return server

    one, two = smscs
    silent = {two}
    units = Units(tmp_path, start)
    try:
        units.start(one)
        units.begin(two)
        silent.clear()
        yield units
    finally:
        units.close()


def test_none_is_restarted_while_another_is_not_ready(pair: Units, smscs: dict[int, Gateway]) -> None:
    """A restart would leave nobody to answer."""
    one, two = smscs
    smscs[two].accept()
    pair.ready(two)
    smscs[two].hang_up()
    pair.servers[two].wait_for_log("link closed")
    code, (line,) = pair.rolling_restart(str(one))
    assert code == 1
    assert line.startswith(f'rolling-restart: {one} is not restarted, because {two} is not ready: {{"ready": false')
    assert pair.restarted == []


@pytest.mark.parametrize("words", [(), ("the first",)])
def test_none_is_restarted_while_another_starts(pair: Units, words: tuple[str, ...]) -> None:
    one, two = pair.servers
    code, (line,) = pair.rolling_restart(*(str(one) for _ in words))
    assert code == 1
    assert line.startswith(f"rolling-restart: {one} is not restarted, because {two} is activating (start)")
    assert line.endswith(f"; to go on without it: systemctl stop ussd-server@{two}")
    assert pair.restarted == []


@pytest.mark.parametrize("words", [(), ("the first",)])
def test_none_is_restarted_while_another_ends_again_and_again(pair: Units, words: tuple[str, ...]) -> None:
    one, two = pair.servers
    pair.servers[two].kill()
    code, (line,) = pair.rolling_restart(*(str(one) for _ in words))
    assert code == 1
    assert line.startswith(f"rolling-restart: {one} is not restarted, because {two} is activating (auto-restart)")
    assert pair.restarted == []


def test_none_is_restarted_where_another_has_failed_until_it_is_mended_or_given_up(
    pair: Units, smscs: dict[int, Gateway]
) -> None:
    """Both ways on are in the line: it may be restarted itself, or be taken out."""
    one, two = smscs
    pair.servers[two].kill()
    pair.failed.add(two)
    code, (line,) = pair.rolling_restart()
    assert code == 1
    assert line.startswith(f"rolling-restart: {one} is not restarted, because {two} is failed (failed)")
    assert line.endswith(f"; to go on without it: systemctl reset-failed ussd-server@{two}")
    assert pair.restarted == []
    assert pair.rolling_restart(str(two)) == (0, [f"{two} restarted and ready"])
    pair.servers[two].kill()
    pair.stopped.add(two)
    assert pair.rolling_restart() == (
        0,
        [f"{one} is the only server here: dialogues wait until it is back", f"{one} restarted and ready"],
    )


@pytest.fixture
def operators() -> Iterator[tuple[list[Gateway], list[Gateway]]]:
    """The SMSCs of two operators, each with a link for either of two servers."""
    with ExitStack() as ends:
        pairs = []
        for _ in range(2):
            first = Gateway()
            pairs.append([first, Gateway(listener=first.listener)])
            for link in pairs[-1]:
                ends.callback(link.close)
        yield pairs[0], pairs[1]


def test_what_a_server_had_bound_is_bound_again_before_the_next_one_is_restarted(
    tmp_path: Path, operators: tuple[list[Gateway], list[Gateway]]
) -> None:
    """Ready is a server with either; were both restarted while one operator is slow, nobody would answer there."""
    one, two = free_port(), free_port()
    links, others = (dict(zip((one, two), each, strict=True)) for each in operators)
    degraded: list[bool] = []

    def start(port: int, environment: dict[str, str]) -> ServerProcess:
        if units.restarted == [one, two]:
            degraded.append(units.servers[one].ready()[1]["degraded"])
        server = ServerProcess(
            tmp_path / "data",
            "--smsc",
            others[port].url,
            smsc=links[port].url,
            environment=environment,
            http_port=port,
        )
        links[port].accept()
        if len(units.restarted) != 1:
            others[port].accept()
            server.wait_for_log('"bound"', f":{others[port].port}")
        return server

    units = Units(tmp_path, start)
    try:
        units.start(one)
        units.start(two)
        others[two].hang_up()
        units.servers[two].wait_for_log("link closed", f":{others[two].port}")
        code, (line,) = units.rolling_restart(str(one))
        name = others[two].url.replace(":secret", "")
        assert code == 1
        assert line.startswith(
            f'rolling-restart: {one} is not restarted, because {two} has not bound {name}: {{"ready": t'
        )
        assert units.restarted == []
        others[two].accept()
        units.servers[two].wait_for_log('"bound"', f":{others[two].port}")
        with ThreadPoolExecutor(1) as thread:
            restart = thread.submit(units.rolling_restart, steady_s=0)
            # It has looked at the first more often than at one that is as it was, and does not go on.
            for _ in range(6):
                assert units.looks.get(timeout=PATIENCE_S) == one
            assert units.servers[one].ready()[0] == 200
            others[one].accept()
            assert restart.result() == (0, [f"{one} restarted and ready", f"{two} restarted and ready"])
        assert degraded == [False]
    finally:
        units.close()


def test_an_operator_that_was_away_before_keeps_no_server_from_its_restart(
    pair_without_an_operator: Units,
) -> None:
    units = pair_without_an_operator
    one, two = units.servers
    assert [server.ready()[1]["degraded"] for server in units.servers.values()] == [True, True]
    assert units.rolling_restart() == (0, [f"{one} restarted and ready", f"{two} restarted and ready"])


@pytest.fixture
def pair_without_an_operator(tmp_path: Path, operators: tuple[list[Gateway], list[Gateway]]) -> Iterator[Units]:
    """Two units, bound to one operator; nobody is at the other's address."""
    ports = free_port(), free_port()
    links = dict(zip(ports, operators[0], strict=True))
    away = f"smpp://tester:secret@127.0.0.1:{free_port()}"

    def start(port: int, environment: dict[str, str]) -> ServerProcess:
        server = ServerProcess(
            tmp_path / "data", "--smsc", away, smsc=links[port].url, environment=environment, http_port=port
        )
        links[port].accept()
        return server

    units = Units(tmp_path, start)
    try:
        for port in ports:
            units.start(port)
        yield units
    finally:
        units.close()


def test_each_is_asked_at_the_address_that_it_has_from_its_environment(tmp_path: Path, gateway: Gateway) -> None:
    port = free_port()

    def start(port: int, environment: dict[str, str]) -> ServerProcess:
        environment = {**environment, "USSD_SERVER_HTTP": f"127.0.0.2:{port}"}
        server = ServerProcess(tmp_path / "data", smsc=gateway.url, environment=environment, http_port=port)
        gateway.accept()
        return server

    units = Units(tmp_path, start)
    try:
        units.start(port)
        assert units.rolling_restart()[1][-1] == f"{port} restarted and ready"
    finally:
        units.close()


def test_one_that_ends_again_after_its_restart_keeps_the_others_from_it(tmp_path: Path) -> None:
    """It is ready each time that it was started anew; yet the next one is not restarted, and the line says why."""

    async def main() -> None:
        async with Switch(Random(5)) as switch:

            def start(port: int, environment: dict[str, str]) -> ServerProcess:
                return ServerProcess(tmp_path / "data", smsc=switch.url, environment=environment, http_port=port)

            units = Units(tmp_path, start)
            one, two = free_port(), free_port()
            try:
                for port in (one, two):
                    await asyncio.to_thread(units.start, port)
                units.crashing.add(one)
                code, said = await asyncio.to_thread(units.rolling_restart, str(one), str(two))
                (line,) = said
                assert code == 1
                assert line.startswith(
                    f"rolling-restart: {one} ended after its restart and was started anew, the rest are"
                )
                assert line.endswith(f"; see: journalctl -u ussd-server@{one}")
                assert units.restarted == [one]
            finally:
                await asyncio.to_thread(units.close)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            (),
            1,
            "rolling-restart: no ussd-server@PORT is active; start one with: systemctl start ussd-server@8081",
        ),
        (
            ("eighty",),
            1,
            "rolling-restart: eighty: an instance is named by the port of its HTTP address, as 8081",
        ),
        (("--help",), 0, "Restart the servers of this machine one after the other, each when all others are ready."),
    ],
)
def test_what_cannot_be_restarted_is_told(tmp_path: Path, words: tuple[str, ...], code: int, line: str) -> None:
    units = Units(tmp_path, lambda port, environment: pytest.fail("nothing is started"))
    ended, said = units.rolling_restart(*words)
    assert (ended, said[0]) == (code, line)
