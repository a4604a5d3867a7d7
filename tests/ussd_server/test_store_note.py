"""A data directory knows which store its servers use, and a store that nobody named is not taken for it."""

import re
from pathlib import Path

import pytest

from tests.ussd_server.cli.command_line import without_settings
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.settings import Settings, SettingsError, load
from ussd_server.store_note import FILE_NAME, is_noted, note, noted, noted_id, option, refuse_default, written
from ussd_server.store_url import parse

REDIS = "redis://127.0.0.1:6379/1"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("var").mkdir(mode=0o700)


def given(**options: str) -> Settings:
    return load({"data": "var", **options})


def test_a_default_store_is_refused_where_servers_use_another_and_the_option_is_named() -> None:
    refuse_default(given())
    note(Path("var"), parse(REDIS))
    with pytest.raises(SettingsError, match=r"the servers of var use another than sqlite:///var/ussd-server.db: add "
                                            r"--store 'redis://127.0.0.1:6379/1', or --settings"):  # fmt: skip
        refuse_default(given())
    refuse_default(given(store="redis://127.0.0.1:1/0"))  # whoever names one means it


def test_who_goes_back_to_the_default_is_told_how() -> None:
    note(Path("var"), parse(REDIS))
    with pytest.raises(SettingsError) as refused:
        refuse_default(given())
    back = re.search(r"; or, to go to that one on purpose, --store '(.*)'$", str(refused.value))
    assert back is not None
    meant = given(store=back[1])
    refuse_default(meant)
    note(meant.data, meant.store)  # as a server does when it starts
    refuse_default(given())


def test_the_default_store_is_the_same_one_wherever_the_directory_is() -> None:
    note(Path("var"), given().store)
    refuse_default(given())
    Path("var").rename("moved")
    refuse_default(given(data="moved"))
    note(Path("moved"), parse("sqlite:///other.db"))
    with pytest.raises(SettingsError, match=r"--store 'sqlite:////.*/other.db'"):
        refuse_default(given(data="moved"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ussd:hidden@h/0?prefix=kiosk&replicas=1", "redis://ussd@h:6379/0?prefix=kiosk&replicas=1"),
        ("redis://:hidden@h", "redis://h:6379/0"),
        ("redis+sentinel://a,b/main", "redis+sentinel://a:26379,b:26379/main"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
    ],
)
def test_it_is_noted_as_it_is_written_without_a_secret(url: str, shown: str) -> None:
    data = Path("var")
    note(data, parse(url))
    assert written(parse(url)) == shown
    assert "hidden" not in (data / FILE_NAME).read_text(encoding="utf-8")
    found = noted(data)
    assert found is not None
    assert option(data, found) == f"--store '{shown}'" + (" (with its password)" if "hidden" in url else "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("redis://localhost", "redis://127.0.0.1:6379/0?replicas=1", True),
        ("redis://h/1", "redis://h/2", False),
        ("redis://h", "redis://h?prefix=kiosk", False),
        ("redis+sentinel://a,b/main", "redis+sentinel://b,a/main", True),
        ("redis+sentinel://a,b/main", "redis+sentinel://a,b/other", False),
        ("sqlite:///x.db", "sqlite:///var/../x.db", True),
        ("sqlite:///x.db", "redis://h", False),
    ],
)
def test_two_ways_to_write_a_store_are_told_from_two_stores(one: str, other: str, same: bool) -> None:
    note(Path("var"), parse(one))
    found = noted(Path("var"))
    assert found is not None
    assert found.is_of(parse(other), Path("var")) == same


def test_it_is_written_only_where_it_changes_and_one_that_is_damaged_is_said() -> None:
    file = Path("var") / FILE_NAME
    note(Path("var"), parse(REDIS))
    before = file.stat().st_ino
    note(Path("var"), parse(REDIS))
    assert file.stat().st_ino == before
    file.write_text("{", encoding="utf-8")
    with pytest.raises(UnguardedFile, match=r"cannot be read .*: remove it"):
        noted(Path("var"))
    with pytest.raises(SettingsError, match="remove it"):
        refuse_default(given())
    note(Path("var"), given().store)
    refuse_default(given())


def test_a_store_that_has_another_id_than_before_is_told() -> None:
    data, redis = Path("var"), parse(REDIS)
    assert note(data, redis)
    assert note(data, redis, "one")  # it has one now
    assert note(data, redis, "one")
    assert not note(data, redis, "two")
    assert note(data, redis, "two")
    assert noted_id(data, redis) == "two"
    assert is_noted(data, redis)
    assert not is_noted(data, parse("redis://h"))
    assert note(data, parse("redis://h"), "three")  # another store was meant
    assert noted_id(data, redis) == ""
    (data / FILE_NAME).write_text("{", encoding="utf-8")
    assert noted_id(data, parse("redis://h")) == ""
    assert not is_noted(data, parse("redis://h"))
