"""Every script is loaded, says which keys it takes, and why it may be sent again; Redis knows it by the same SHA-1."""

from pathlib import Path

import pytest

from tests.redis_servers import running
from ussd_server.stores import redis
from ussd_server.stores.redis.scripts import EVERY_SCRIPT

FOLDER = Path(redis.__file__).parent / "lua"
SHARED = {"entries", "fence", "notes"}


def test_every_file_is_a_script_or_what_scripts_share() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == EVERY_SCRIPT.keys() | SHARED


@pytest.mark.parametrize("name", EVERY_SCRIPT)
def test_a_script_says_what_it_takes_and_why_it_may_be_sent_again(name: str) -> None:
    head = (FOLDER / f"{name}.lua").read_text(encoding="utf-8").split("\n\n")[0]
    comments = " ".join(line.removeprefix("--") for line in head.splitlines() if line.startswith("--"))
    assert "KEYS " in comments
    assert "Safe to send again" in comments


def test_redis_takes_each_and_calls_it_the_same() -> None:
    with running() as server, server.client() as client:
        for script in EVERY_SCRIPT.values():
            assert client.script_load(script.source).encode() == script.sha
