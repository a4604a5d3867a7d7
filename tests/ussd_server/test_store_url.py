"""A store's URL says all that is needed to open it, and nobody who reads it learns a password."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.secrecy.secrets import Secret
from ussd_server.store_url import OPTIONS, RedisUrl, SqliteUrl, parse


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("sqlite:///a/b.db", SqliteUrl(Path("a/b.db")), None),
        ("sqlite:////srv/a%20b.db", SqliteUrl(Path("/srv/a b.db")), "sqlite:////srv/a b.db"),
        ("redis://h", RedisUrl("alone", (("h", 6379),)), "redis://h:6379/0"),
        ("redis://h:1/2", RedisUrl("alone", (("h", 1),), database=2), None),
        ("redis://[::1]:1/2", RedisUrl("alone", (("::1", 1),), database=2), None),
        (
            "rediss://u%40:p%2F@h:1/2?replicas=1&prefix=my-ussd&buckets=64",
            RedisUrl("alone", (("h", 1),), True, "u@", Secret("p/"), 2, "", 1, "my-ussd", 64),
            "rediss://u@@h:1/2?prefix=my-ussd",
        ),
        ("redis+cluster://a:1,b,[::1]:3", RedisUrl("cluster", (("a", 1), ("b", 6379), ("::1", 3))),
         "redis+cluster://a:1,b:6379,[::1]:3"),
        ("rediss+cluster://:p@a:1", RedisUrl("cluster", (("a", 1),), True, "", Secret("p")), "rediss+cluster://a:1"),
        ("redis+sentinel://a,b:2/main", RedisUrl("sentinel", (("a", 26379), ("b", 2)), master="main"),
         "redis+sentinel://a:26379,b:2/main"),
        ("redis+sentinel://a:1/main/3?replicas=2",
         RedisUrl("sentinel", (("a", 1),), database=3, master="main", replicas=2), "redis+sentinel://a:1/main/3"),
    ],
)  # fmt: skip
def test_a_url_is_read_and_shown_without_its_password(text: str, url: object, shown: str | None) -> None:
    read = parse(text)
    assert read == url
    assert str(read) == (shown or text)
    assert "p/" not in repr(read)


def test_a_store_is_known_by_what_no_other_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for text in ("sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", "sqlite:///./b/../a.db", "sqlite:///link/a.db"):
        assert parse(text).known_as == f"sqlite:///{tmp_path}/a.db"
    assert parse("redis://u:secret@h/1?prefix=a").known_as == "redis://h:6379/1?prefix=a"


stores = st.builds(
    RedisUrl,
    st.sampled_from(["alone", "cluster", "sentinel"]),
    st.lists(st.sampled_from([("h", 1), ("h", 2), ("g", 1), ("127.0.0.1", 1)]), min_size=1, max_size=3).map(tuple),
    database=st.integers(0, 2),
    master=st.sampled_from(["", "a", "b", "a/1", "a?prefix=b"]),
    prefix=st.sampled_from(["ussd", "a", "b"]),
)


@given(stores, stores)
def test_two_stores_are_known_by_one_name_only_where_all_is_the_same_that_says_which_it_is(
    one: RedisUrl, other: RedisUrl
) -> None:
    def which(url: RedisUrl) -> object:
        return url.kind, set(url.hosts), url.master, url.database, url.prefix

    assert (one.known_as == other.known_as) == (which(one) == which(other))


@given(
    stores,
    st.randoms(),
    st.sampled_from(["127.0.0.1", "localhost", "::1"]),
    st.builds(
        lambda **how: how,
        tls=st.booleans(),
        user=st.sampled_from(["", "u"]),
        password=st.sampled_from([None, Secret("p")]),
        replicas=st.integers(0, 2),
        buckets=st.sampled_from([0, 64]),
        ca_file=st.sampled_from([None, Path("ca.pem")]),
        sentinel_password=st.sampled_from([None, Secret("s")]),
    ),
)
def test_a_store_is_known_by_one_name_however_it_is_reached(
    url: RedisUrl, random: Random, local: str, how: dict[str, Any]
) -> None:
    hosts = [(local if host == "127.0.0.1" else host, port) for host, port in url.hosts]
    hosts += hosts[:1]
    random.shuffle(hosts)
    assert replace(url, hosts=tuple(hosts), **how).known_as == url.known_as


def test_the_master_that_is_shown_is_the_one_that_was_read() -> None:
    for text in ("redis+sentinel://a:1/main%2F1", "redis+sentinel://a:1/main/1", "redis+sentinel://a:1/m%3Fx"):
        assert str(parse(text)) == text


def test_passwords_may_be_in_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("for:redis\n")
    two.write_text("for sentinels")
    url = parse(f"redis+sentinel://u@a/main?password_file={one}&sentinel_password_file={two}")
    assert isinstance(url, RedisUrl)
    assert (url.password, url.sentinel_password) == (Secret("for:redis"), Secret("for sentinels"))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("x.db", "is not a store; write sqlite:///PATH, redis://"),
        ("sqlite:///", "is not a store"),
        ("postgres://u:secret@h/db", "postgres://... is not a store"),
        ("redis://", "write HOST:PORT"),
        ("redis://a:1,b:2/0", "several hosts are for redis+cluster:// or redis+sentinel://"),
        ("redis://u@h", "a user needs a password"),
        ("redis://:secret@h?password_file=f", "f cannot be read: No such file"),
        ("redis://h/one", "the database is a number from 0"),
        ("redis://h/1/2", "what is '/1/2'?"),
        ("redis://:pa@ss/secret@h/1", "what is all that stands behind the first /?"),
        ("redis://:pa?secret@h/1", "unknown option after the ? (in a name or password, write"),
        ("redis://:pa?secret=x@h/1", "unknown option after the ? (in a name or password, write"),
        ("redis://:se#cret@h/1", "nothing may stand behind a #"),
        ("redis+cluster://h/1", "a Cluster has no databases"),
        ("redis+sentinel://h", "say which master the Sentinels watch"),
        ("redis://h?replica=1", "unknown option 'replica' after the ?; did you mean replicas?"),
        ("redis://h?replicas=9", "replicas is a number from 0 to 5"),
        ("redis://h?replicas=1&replicas=2", "replicas is given twice"),
        ("redis://h?prefix=a:b", "prefix is up to 32 letters"),
        ("redis://h?buckets=100", "buckets is a power of two"),
        ("redis://h?ca_file=ca.pem", "ca_file is for TLS: write rediss://"),
        ("rediss+cluster://h?ca_file=ca.pem", "ca_file ca.pem cannot be used: No such file"),
    ],
)
def test_a_mistake_is_said_with_its_mend_and_without_the_password(text: str, mistake: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert mistake in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_option_fills_a_field() -> None:
    assert {option.field for option in OPTIONS.values()} <= set(RedisUrl.__dataclass_fields__)


def options_table() -> str:
    rows = (f"| `{key}={option.form}` | {option.meaning} |" for key, option in OPTIONS.items())
    return "\n".join(["| option after the `?` | what |", "|---|---|", *rows])


def test_the_documentation_has_the_options_as_they_are() -> None:
    """Where it fails, the right table is in the message: copy it."""
    text = (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")
    assert f"\n\n{options_table()}\n\n" in text, f"\n{options_table()}\n"
