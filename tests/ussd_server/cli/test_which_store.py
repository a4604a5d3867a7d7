"""Commands on a store: where none is named, the default is not taken for the store that the servers use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer, running
from tests.ussd_server.cli.command_line import Said
from ussd_server import store_note, store_url


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    Path("var").mkdir(mode=0o700)
    return Said(capsys)


ON_THE_STORE = pytest.mark.parametrize(
    "words",
    [
        ("subscriber", "show", "79101234567"),
        ("subscriber", "journal", "79101234567"),
        ("subscriber", "unlock", "79101234567", "--reason", "called"),
        ("subscriber", "offers", "79101234567", "no", "--reason", "called"),
        ("subscriber", "forget", "79101234567", "--yes"),
        ("dead-letters", "list"),
        ("dead-letters", "retry", "--all", "--reason", "the SMSC is back"),
        ("terminal", "list"),
        ("terminal", "add", "hall-1", "--name", "Hall 1", "--key", "A" * 43 + "="),
        ("push", "notify", "79101234567", "--text", "Hello", "--category", "service"),
    ],
    ids=" ".join,
)


@ON_THE_STORE
def test_nothing_is_done_in_another_store_than_that_of_the_servers(words: tuple[str, ...], said: Said) -> None:
    assert said("keys", "init") == 0
    store_note.note(Path("var"), store_url.parse("redis://127.0.0.1:1/0"))
    assert said(*words) == 2
    assert "use another than sqlite:///var/ussd-server.db: add --store 'redis://127.0.0.1:1/0'" in said.err
    assert said.err.count("\n") == 1
    assert not Path("var/ussd-server.db").exists()


@pytest.fixture(scope="module")
def empty() -> Iterator[RedisServer]:
    """Yield a Redis in which nothing ever is."""
    with running() as redis:
        yield redis


@ON_THE_STORE
def test_a_store_that_servers_have_used_and_that_is_empty_is_not_begun_anew(
    words: tuple[str, ...], said: Said, empty: RedisServer
) -> None:
    """To start a server on it, or to add a terminal, would begin a new one in which everybody is new."""
    assert said("keys", "init") == 0
    store_note.note(Path("var"), store_url.parse(empty.url), "an-id")
    assert said(*words, "--store", empty.url) == 2
    assert said.err == (
        f"error: {empty.url}: the store lost its data, or is another one: servers of var have used it, and it is not "
        "there. Bring its data back, from a replica or a backup, before any server is started on it: that would begin "
        "a new one\n"
    )
    with empty.client() as client:
        assert client.dbsize() == 0


def test_so_is_a_file_that_is_gone(said: Said) -> None:
    assert said("keys", "init") == 0
    store_note.note(Path("var"), store_url.parse("sqlite:///var/ussd-server.db"))
    assert said("terminal", "add", "hall-1", "--key", "A" * 43 + "=") == 2
    assert said.err.startswith("error: sqlite:///var/ussd-server.db: the store lost its data, ")
    assert not Path("var/ussd-server.db").exists()
