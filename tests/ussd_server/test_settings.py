"""Settings come from the command line, the environment and a file, in that order; a mistake is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ussd_server.cli.command_line import without_settings
from ussd_server.settings import (
    Address,
    Setting,
    Settings,
    SettingsError,
    Supervisor,
    colours,
    describe,
    load,
    supervisor,
)
from ussd_server.store_url import ESCAPES, FORMS, SqliteUrl


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start every test without our variables and in an empty directory."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    path = Path("settings.toml")
    path.write_text(text, encoding="utf-8")
    return path


def mistake(options: dict[str, object] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_mistake_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSD_SERVER_HTPP", "x")
    monkeypatch.setenv("USSD_SERVER_PUSH_RATE", "fast")
    path = write('htpp = "x"\nmax_turns = "abc"\ncountry = "07"\n')
    with pytest.raises(SettingsError) as caught:
        load({"settings": path, "data": "", "http": "here"})
    assert list(caught.value.args) == [
        "environment: unknown variable USSD_SERVER_HTPP; did you mean USSD_SERVER_HTTP?",
        "settings.toml:1: unknown key 'htpp'; did you mean http?",
        "--data: it is empty; name a directory, or leave it out",
        "--http: 'here' is not HOST:PORT, as in 127.0.0.1:8080",
        "settings.toml:3: country: string should match pattern '^[1-9][0-9]{0,2}$'",
        "settings.toml:2: max_turns: input should be a valid integer, unable to parse string as an integer",
        "environment: USSD_SERVER_PUSH_RATE: input should be a valid number, unable to parse string as a number",
    ]
    assert str(caught.value) == "; ".join(caught.value.args)


def test_defaults_are_those_of_a_first_start() -> None:
    settings = load()
    assert settings.http == Address("127.0.0.1", 8080)
    assert settings.smpp == Address("127.0.0.1", 2775)
    assert settings.smsc == ()
    assert settings.data == Path("var")
    assert settings.store == SqliteUrl(Path("var/ussd-server.db"))
    assert settings.dialogue_deadline_s < settings.gateway_timer_s


def test_the_store_is_in_the_data_directory_unless_it_is_said() -> None:
    assert load({"data": Path("elsewhere")}).store == SqliteUrl(Path("elsewhere/ussd-server.db"))
    assert load({"data": Path("elsewhere"), "store": "sqlite:////srv/a.db"}).store == SqliteUrl(Path("/srv/a.db"))


def test_the_flows_file_beside_the_server_wins_over_the_shipped_one() -> None:
    assert load().flows.is_absolute()
    Path("flows.yaml").touch()
    assert load().flows == Path("flows.yaml")


def test_command_line_over_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('http = "127.0.0.1:1"\nsmpp = "127.0.0.1:1"\nmax_turns = 1\n')
    monkeypatch.setenv("USSD_SERVER_SMPP", "127.0.0.1:2")
    monkeypatch.setenv("USSD_SERVER_MAX_TURNS", "2")
    settings = load({"settings": path, "max_turns": 3, "data": None})
    assert (settings.http.port, settings.smpp.port, settings.max_turns) == (1, 2, 3)


def test_the_environment_may_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSD_SERVER_SETTINGS", str(write("max_turns = 5\n")))
    assert load().max_turns == 5


def test_several_smscs_by_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ["smpp://a:x@h:1", "smpps://b:y@h:2"]
    assert [str(smsc) for smsc in load({"smsc": urls}).smsc] == ["smpp://a@h:1", "smpps://b@h:2"]
    path = write('smsc = ["smpp://a:x@h:1", "smpps://b:y@h:2"]\n')
    assert len(load({"settings": path}).smsc) == 2
    monkeypatch.setenv("USSD_SERVER_SMSC", "smpp://c:x@h:1  smpp://d:y@h:2")
    assert [smsc.system_id for smsc in load({"settings": path}).smsc] == ["c", "d"]


# Mistakes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_key_of_the_file_is_named_with_its_line_and_the_nearest_known() -> None:
    path = write('# ours\nhttp = "127.0.0.1:1"\n\ndialog_deadline_s = 3\n')
    assert mistake({"settings": path}) == (
        "settings.toml:4: unknown key 'dialog_deadline_s'; did you mean dialogue_deadline_s?"
    )


def test_an_unknown_table_of_the_file_is_named_with_its_line() -> None:
    assert mistake({"settings": write("max_turns = 3\n[stores]\npath = 1\n")}).startswith(
        "settings.toml:2: unknown key 'stores'; did you mean store?"
    )


def test_a_table_in_a_texts_place_is_no_text_that_lacks_quotes() -> None:
    assert mistake({"settings": write("[http]\nport = 1\n")}) == "settings.toml:1: http: {'port': 1} is not one text"
    assert mistake({"settings": write("store = 5\n")}) == "settings.toml:1: store: 5 is not a text; put it in quotes"


def test_an_unknown_variable_is_named_with_the_nearest_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSD_SERVER_HTPP", "x")
    assert mistake() == "environment: unknown variable USSD_SERVER_HTPP; did you mean USSD_SERVER_HTTP?"


def test_a_key_near_to_nothing_gets_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USSD_SERVER_QQQQ", "x")
    assert "; known are USSD_SERVER_CATALOGUE, " in mistake()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"http": "8080"}, "--http: '8080' is not HOST:PORT, as in 127.0.0.1:8080"),
        ({"http": "::1:80"}, "--http: '::1:80': write an IPv6 address in brackets, as in [::1]:8080"),
        ({"http": "h:65536"}, "--http: 'h:65536' is not HOST:PORT, as in 127.0.0.1:8080"),
        ({"store": "redis://:secret@h:port/0"}, f"--store: a port is a number from 1 to 65535 ({ESCAPES})"),
        (
            {"store": "x.db"},
            f"--store: 'x.db' is not a store; write {FORMS} (sqlite:////PATH for an absolute path)",
        ),
        ({"journal_entries": 0}, "--journal-entries: input should be greater than or equal to 1"),
        ({"journal_entries": 1001}, "--journal-entries: input should be less than or equal to 1000"),
        ({"max_turns": "many"}, "--max-turns: input should be a valid integer, unable to parse string as an integer"),
        (
            {"dialogue_deadline_s": 15},
            (
                "settings: dialogue_deadline_s (15) must be below gateway_timer_s (15), "
                "or the network ends the dialogue first"
            ),
        ),
        ({"settings": "none.toml"}, "--settings none.toml: the file cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_option(options: dict[str, object], text: str) -> None:
    assert mistake(options) == text


def test_a_wrong_value_says_where_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("\nmax_turns = 0\n")
    assert mistake({"settings": path}).startswith("settings.toml:2: max_turns: input should be greater than")
    monkeypatch.setenv("USSD_SERVER_MAX_TURNS", "-1")
    assert mistake({"settings": path}).startswith("environment: USSD_SERVER_MAX_TURNS: input should be greater than")


def test_a_file_that_is_no_toml_says_line_and_column() -> None:
    assert mistake({"settings": write("max_turns = 1\nhttp = \n")}) == "settings.toml:2:8: not TOML: Invalid value"


def test_a_file_that_is_no_text_is_refused() -> None:
    Path("settings.toml").write_bytes(b"\xff\xfe")
    assert mistake({"settings": "settings.toml"}).endswith("the file cannot be read: it is not UTF-8")


# SMSC URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["hun/ter2", "hun#ter2", "hunter2@x:y", "hun?ter2", "123456hunter2"])
def test_no_mistake_repeats_the_password(password: str) -> None:
    text = mistake({"smsc": [f"smpp://user:{password}@h:port"]})
    assert text.startswith("--smsc: ")
    assert "ter2" not in text


def test_the_data_directory_is_one_or_can_become_one() -> None:
    Path("file").touch()
    assert load({"data": "a/b"}).data == Path("a/b")
    assert load({"data": "."}).data == Path(".")
    assert mistake({"data": ""}) == "--data: it is empty; name a directory, or leave it out"
    assert mistake({"data": "file/var"}) == "--data: file is a file; name a directory"
    Path("README.md").touch()
    assert mistake({"data": "README.md"}) == "--data: README.md is a file; name a directory"
    assert mistake({"data": "a" * 300}) == f"--data: {'a' * 300}: File name too long"


def test_the_same_smsc_twice_is_a_mistake() -> None:
    assert mistake({"smsc": ["smpp://a:b@h:1", "smpp://a:c@h:1"]}) == (
        "--smsc: smpp://a@h:1 is given twice; for more connections there, write ?binds=2"
    )


def test_a_wrong_dialect_says_where_and_what(tmp_path: Path) -> None:
    assert mistake({"smsc": ["smpp://a:b@h?dialect=comvers"]}) == (
        "--smsc: dialect=comvers: there is no dialect 'comvers'; did you mean comverse? "
        "One of your own is the path of a .yaml file"
    )
    own = tmp_path / "own.yaml"
    own.write_text("base: tata\nsent: {menue: 2}\nsesion: none\n", encoding="utf-8")
    assert mistake({"smsc": [f"smpp://a:b@h?dialect={own}"]}) == (
        f"--smsc: dialect={own}: {own}:2:8: unknown key 'menue' in sent; did you mean 'menu'? "
        f"(1 more, see: ussd-server dialects check {own})"
    )


def test_settings_show_no_password() -> None:
    settings = load({"smsc": ["smpp://user:hunter2@h:1"]})
    for text in (repr(settings), str(settings), repr(settings.smsc), str(settings.smsc[0])):
        assert "hunter2" not in text


@given(st.sampled_from(["127.0.0.1", "localhost", "::1", "0.0.0.0"]), st.integers(0, 65535))
def test_an_address_reads_back_as_it_shows(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address


# The documentation ------------------------------------------------------------------------------------------------


def test_every_setting_is_described_with_its_variable() -> None:
    described = describe()
    assert [setting.key for setting in described] == list(Settings.model_fields)
    for setting in described:
        assert setting.variable == f"USSD_SERVER_{setting.key.upper()}"
        assert setting.meaning


def settings_table() -> str:
    def row(setting: Setting) -> str:
        default = f"`{setting.default}`" if setting.default else ""
        return f"| `{setting.key}` | `{setting.variable}` | {default} | {setting.meaning} |"

    return "\n".join(["| key | environment | default | what |", "|---|---|---|---|", *map(row, describe())])


def test_the_readme_has_the_settings_as_they_are() -> None:
    """Where it fails, the right table is in the message: copy it between the marks."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    found = readme.partition("differs -->\n")[2].partition("\n<!-- end of settings -->")[0]
    assert found == settings_table(), f"\n{settings_table()}\n"


def test_a_certificate_needs_its_key() -> None:
    assert "belong together" in mistake({"http_certificate": Path("chain.pem")})
    assert load({"http_certificate": Path("chain.pem"), "http_key": Path("key.pem")}).http_key == Path("key.pem")


@pytest.mark.parametrize("url", ["ussd.example", "ftp://ussd.example", "https://ussd.example/api", "https://?x"])
def test_the_terminals_url_is_a_host_alone(url: str) -> None:
    assert "https://HOST" in mistake({"terminal_url": url})


def test_a_slash_behind_the_terminals_url_is_no_difference() -> None:
    assert load({"terminal_url": "https://ussd.example/"}).terminal_url == "https://ussd.example"


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("quiet_hours", "21-9", "--quiet-hours: '21-9': quiet hours are written HH:MM-HH:MM, as 21:00-09:00"),
        ("quiet_hours", "09:00-09:00", "--quiet-hours: '09:00-09:00': they end when they begin; leave the text empty"),
        (
            "quiet_timezone",
            "Mars/Base",
            "--quiet-timezone: there is no time zone 'Mars/Base'; write one as Europe/Moscow",
        ),
        ("push_rate", 0, "--push-rate: input should be greater than 0"),
    ],
)
def test_quiet_hours_and_the_rate_of_pushes_are_checked(key: str, value: object, error: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({key: value})
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, Supervisor()),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000"}, Supervisor("/run/notify", 30.0)),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_PID": "1", "WATCHDOG_USEC": "30000000"}, Supervisor("@notify")),
        ({"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "x"}, Supervisor()),
    ],
)
def test_what_systemd_wants_to_hear_is_taken_out_of_the_environment(
    environment: dict[str, str], found: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert supervisor() == found
    assert supervisor() == Supervisor()


@pytest.mark.parametrize(("value", "wanted"), [(None, True), ("", True), ("1", False), ("0", False)])
def test_no_color_is_heeded(value: str | None, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it holds, as https://no-color.org has it."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    assert colours() is wanted


def test_in_a_directory_that_one_may_not_look_into_the_shipped_flows_are_meant(tmp_path: Path) -> None:
    """As root's is where root gives a command as the service's user."""
    look = "import os; from ussd_server.settings import load; os.chmod('.', 0); print(load({'data': '/'}).flows)"
    may_not = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    said = subprocess.run(
        [*may_not, sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    tmp_path.chmod(0o700)
    assert Path(said.stdout.strip()).parent.name == "ussd_server"
