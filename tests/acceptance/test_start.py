"""What keeps the server from starting: one line that says what is wrong, where, and what would be right."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import new_phone
from tests.acceptance.gateway import Gateway
from tests.acceptance.harness import run_to_end, running

SMSC = ("--smsc", "smpp://tester:secret@127.0.0.1:9")  # the discard port: nobody there, and none of these gets so far
USAGE = 2
FAILED = 1


def only_line(output: str) -> str:
    """Return the output, which must be one line without a trace."""
    lines = output.strip().splitlines()
    assert len(lines) == 1, output
    return lines[0]


def refusal(output: str) -> str:
    """Return the error, which must be the last line and without a trace; before it a first start tells of its keys."""
    *earlier, last = output.strip().splitlines()
    assert len(earlier) <= 1, output
    assert all("keys made" in line for line in earlier), output
    return last


def test_a_wrong_key_in_the_settings_file(tmp_path: Path) -> None:
    """An unknown key is named with file and line and the key that was probably meant; exit 2."""
    settings = tmp_path / "settings.toml"
    settings.write_text('data = "var"\nhtpp = "127.0.0.1:0"\n')
    status, output = run_to_end("run", *SMSC, "--settings", str(settings), cwd=tmp_path)
    assert status == USAGE
    assert f"{settings}:2" in only_line(output)
    assert "did you mean http?" in output


def test_a_wrong_variable_in_the_environment(tmp_path: Path) -> None:
    """An unknown USSD_SERVER_ variable is named with the one that was probably meant; exit 2."""
    status, output = run_to_end("run", *SMSC, cwd=tmp_path, environment={"USSD_SERVER_LOG_LEVL": "info"})
    assert status == USAGE
    assert "USSD_SERVER_LOG_LEVL" in only_line(output)
    assert "did you mean USSD_SERVER_LOG_LEVEL?" in output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smpp://tester:topsecret1@127.0.0.1:2775", "password"),
        ("http://127.0.0.1:2775", "smpp://"),
        ("smpp://tester:pw@127.0.0.1:notaport", "port"),
        ("smpp://tester:pw@127.0.0.1:2775?windw=3", "window"),
    ],
)
def test_a_wrong_smsc_url(tmp_path: Path, url: str, words: str) -> None:
    """A wrong SMSC URL is explained without repeating the password; exit 2."""
    status, output = run_to_end("run", "--smsc", url, cwd=tmp_path)
    assert status == USAGE
    assert words in only_line(output)
    assert "topsecret1" not in output


def test_a_wrong_option(tmp_path: Path) -> None:
    """An unknown option on the command line is named; exit 2."""
    status, output = run_to_end("run", *SMSC, "--flow", "x", cwd=tmp_path)
    assert status == USAGE
    assert "--flow" in only_line(output)


def test_no_smsc(tmp_path: Path) -> None:
    """Without an SMSC there is nothing to run: one line says how to give one; exit 2."""
    status, output = run_to_end("run", cwd=tmp_path)
    assert status == USAGE
    assert "--smsc" in only_line(output)


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that another process has is named with the option that chooses another, before anything is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = run_to_end(
            "run", *SMSC, "--data", str(tmp_path / "data"), "--http", f"127.0.0.1:{port}", cwd=tmp_path
        )
    assert status == FAILED
    assert f"127.0.0.1:{port}" in only_line(output)
    assert "in use" in output
    assert "--http" in output


BROKEN_FLOW = """\
service: broken
languages: [ru, en]
timezone: Mars/Olympus
currency: {code: RUB, digits: 2, ru: "{amount} руб.", en: "{amount} RUB", free: {ru: бесплатно, en: free}}
home: main
entries:
  - {ussd: "*111#", to: mian}
nodes:
  main:
    menu: {ru: Меню, en: Menu}
    options:
      - {ru: Баланс, en: Balance, to: nowhere}
"""


def test_a_flow_file_with_mistakes(tmp_path: Path) -> None:
    """Every mistake in a flow file is shown at once, each on a line with file, line and column; exit 2."""
    flows = tmp_path / "broken.yaml"
    flows.write_text(BROKEN_FLOW)
    status, output = run_to_end("run", *SMSC, "--http", "127.0.0.1:0", "--flows", str(flows), cwd=tmp_path)
    assert status == USAGE
    assert "Traceback" not in output
    for place, word in ((f"{flows}:3:", "Mars/Olympus"), (f"{flows}:7:", "mian"), (f"{flows}:12:", "nowhere")):
        assert any(place in line and word in line for line in output.splitlines()), output
    assert "main" in next(line for line in output.splitlines() if "mian" in line).partition("mian")[2]


@pytest.mark.parametrize("content", [b"nodes: [", b"\xff\xfe\x00", b"", b"- 1\n- 2\n", b"a: &a [*a]\n"])
def test_a_flow_file_that_is_no_flow(tmp_path: Path, content: bytes) -> None:
    """A file that is no YAML, no text or no flow at all is refused with its place; exit 2."""
    flows = tmp_path / "broken.yaml"
    flows.write_bytes(content)
    status, output = run_to_end("run", *SMSC, "--http", "127.0.0.1:0", "--flows", str(flows), cwd=tmp_path)
    assert status == USAGE
    assert str(flows) in output
    assert "Traceback" not in output


def test_a_flow_file_that_is_not_there(tmp_path: Path) -> None:
    """A flow file that cannot be read is named in one line; exit 2."""
    missing = tmp_path / "missing.yaml"
    status, output = run_to_end("run", *SMSC, "--http", "127.0.0.1:0", "--flows", str(missing), cwd=tmp_path)
    assert status == USAGE
    assert str(missing) in only_line(output)


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A data directory that cannot be made is named in one line."""
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "data"
    status, output = run_to_end("run", *SMSC, "--http", "127.0.0.1:0", "--data", str(where), cwd=tmp_path)
    assert status in (FAILED, USAGE)
    assert f"{tmp_path / 'file'} is a file" in only_line(output)


# Root writes where it may not, unless it lacks the capability for that. Anybody else just may not.
WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.mark.parametrize("used", [False, True])
def test_a_data_directory_without_permission(tmp_path: Path, used: bool) -> None:
    """A data directory that may not be written is named in one line, whether it is new or was in use."""
    where = data_directory(tmp_path, used)
    for file in where.iterdir():
        file.chmod(0o400)
    where.chmod(0o500)
    assert_refused(where, *WITHOUT_PRIVILEGE)


@pytest.mark.parametrize("used", [False, True])
def test_a_read_only_file_system(tmp_path: Path, used: bool) -> None:
    """A data directory on a file system that is mounted read-only is named in one line, whether new or in use."""
    where = data_directory(tmp_path, used)
    if subprocess.run([*read_only(where), "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount, not even in a namespace of their own")
    assert_refused(where, *read_only(where))


def data_directory(tmp_path: Path, used: bool) -> Path:
    """Make a data directory; one that was used has the files that a server leaves there."""
    where = tmp_path / "data"
    where.mkdir()
    if used:
        gateway = Gateway()
        with running(where, smsc=gateway.url) as server:
            gateway.accept()
            new_phone(gateway).activated()
            server.process.terminate()
            gateway.wait_closed()
            assert server.wait() == 0
        gateway.close()
        assert (where / "ussd-server.db").is_file()
    return where


def read_only(where: Path) -> list[str]:
    """Return a command that runs another one to which a directory is on a read-only file system."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return [*namespace, "sh", "-c", script, str(where)]


def assert_refused(where: Path, *by: str) -> None:
    """Assert that a server does not start on this data, and says in one line which and why."""
    before = {file: file.read_bytes() for file in where.iterdir()}
    arguments = ("run", *SMSC, "--http", "127.0.0.1:0", "--data", str(where))
    status, output = run_to_end(*arguments, cwd=where.parent, by=by)
    assert status in (FAILED, USAGE), output
    assert str(where) in only_line(output)
    assert re.search("read-only|may not be written|cannot be written|permission", output, re.IGNORECASE), output
    assert {file: file.read_bytes() for file in where.iterdir()} == before


def test_a_directory_where_the_database_should_be(tmp_path: Path) -> None:
    """A directory that has the database's name is named in one line, and stays."""
    database = tmp_path / "data" / "ussd-server.db"
    database.mkdir(parents=True)
    arguments = ("run", *SMSC, "--http", "127.0.0.1:0", "--data", str(database.parent))
    status, output = run_to_end(*arguments, cwd=tmp_path)
    assert status in (FAILED, USAGE)
    assert str(database) in refusal(output)
    assert database.is_dir()


def test_a_database_that_is_none(tmp_path: Path) -> None:
    """A database file that holds something else is left as it is and named in one line."""
    data = tmp_path / "data"
    data.mkdir()
    database = data / "ussd-server.db"
    database.write_bytes(b"this is no database, and somebody may need it" * 100)
    status, output = run_to_end("run", *SMSC, "--http", "127.0.0.1:0", "--data", str(data), cwd=tmp_path)
    assert status in (FAILED, USAGE)
    assert str(database) in refusal(output)
    assert database.read_bytes().startswith(b"this is no database")
