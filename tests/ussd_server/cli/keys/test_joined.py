"""`ussd-server keys join`: another file's keys come into this one, or none does and the reason is told."""

import json
import stat
from pathlib import Path

import msgspec
import pytest

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import CODE, MSISDN, NOW, PATH, Clock, code, lost_keys, noted, put
from ussd_server.secrecy import files
from ussd_server.secrecy.agreement import note
from ussd_server.secrecy.keys import KINDS, KeyFile, Keyring, load, save
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Vault

OTHER = Path("other.json")
HOUR_MS = 3_600_000


def in_use(ring: Keyring) -> list[str]:
    return [ring.current(kind).id for kind in KINDS]


def beside(said: Said) -> tuple[Keyring, Keyring]:
    """Rotate two copies of one file beside each other: the servers have that of `OTHER`. Return both rings."""
    said("init")
    first = load(PATH)
    save(OTHER, first.rotate("kek", NOW + 1))
    save(PATH, first.rotate("kek", NOW + 2))
    noted(note(load(OTHER)))
    return load(PATH), load(OTHER)


def test_two_files_rotated_beside_each_other_become_one_with_the_servers_key_in_use(said: Said) -> None:
    mine, others = beside(said)
    before = OTHER.read_bytes()
    assert said("join", "other.json") == 0
    kek, own = others.current("kek").id, mine.current("kek").id
    assert [line.split() for line in said.lines[:3]] == [
        ["KIND", "IN", "USE", "CAME"],
        ["kek", kek, "before:", own, "1:", kek],
        ["transport", mine.current("transport").id, "0"],
    ]
    assert said.lines[5] == (
        "Servers with var take it up within 2 seconds. Put a copy of var/keys.json into every other data directory "
        "now, then: ussd-server keys rewrap"
    )
    assert len(said.lines) == 6
    after = load(PATH)
    assert in_use(after) == in_use(others)
    assert {key.id for key in after.keys} == {key.id for key in (*mine.keys, *others.keys)}
    assert stat.S_IMODE(PATH.stat().st_mode) == 0o600
    assert OTHER.read_bytes() == before


def test_joining_again_is_nothing_to_do(said: Said) -> None:
    beside(said)
    for file in ("other.json", "var/keys.json"):
        assert said("join", "other.json") == 0
        before = PATH.stat()
        assert said("join", file) == 0
        assert said.out == f"var/keys.json has every key of {file} already. Nothing was changed.\n"
        assert (PATH.stat().st_ino, PATH.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_either_way_round_the_same_is_in_use_with_a_store_and_without(said: Said) -> None:
    mine, others = beside(said)
    for store, expected in (((), others), (("--store", "sqlite:///none.db"), mine)):
        save(PATH, mine)
        Path("new").mkdir(mode=0o700, exist_ok=True)
        save(Path("new/keys.json"), others)
        save(OTHER, mine)
        given = store or ("--store", "sqlite:///var/ussd-server.db")
        assert said("join", "other.json", "--data", "new", *given) == 0
        save(OTHER, others)
        assert said("join", "other.json", *given) == 0
        assert in_use(load(Path("new/keys.json"))) == in_use(load(PATH)) == in_use(expected)


def test_what_either_file_has_sealed_opens_and_is_moved(said: Said) -> None:
    mine, _ = beside(said)
    put(Vault(mine).seal(CODE, MSISDN, 1))
    assert said("rewrap") == 1
    assert said("join", "other.json") == 0
    assert said("rewrap") == 0
    ring = load(PATH)
    assert "1 code moved to " in said.out
    assert code().kid == ring.current("kek").id
    assert Vault(ring).check(code(), CODE, MSISDN, 1).right


def test_a_key_that_was_in_use_elsewhere_is_kept_a_day_from_when_the_servers_have_it(said: Said, clock: Clock) -> None:
    mine, _ = beside(said)
    clock.at = NOW + 100 * 24 * HOUR_MS
    said("join", "other.json")
    for wait, done in ((0, 1), (24 * HOUR_MS, 1), (HOUR_MS, 0)):
        clock.at += wait
        assert said("retire", mine.current("kek").id) == done
        assert ("it was replaced less than 25 hours ago" in said.err) is bool(done)


def test_the_lost_file_that_turns_up_is_joined_to_keys_that_were_made_instead(said: Said) -> None:
    """The store's servers never had the new ones, so the old ones are in use again, digests and all."""
    lost = lost_keys()
    said("init", "--force")
    own = load(PATH)
    save(OTHER, lost)
    assert said("join", "other.json") == 0
    assert in_use(load(PATH)) == in_use(lost)
    assert load(PATH).lacks(own) == []
    assert said("rewrap") == 0


def test_what_the_servers_have_and_neither_file_has_is_told(said: Said) -> None:
    _, others = beside(said)
    newest = others.rotate("kek", NOW + 3)
    noted(note(newest))
    assert said("join", "other.json") == 0
    assert said.lines[-1] == (
        f"The servers of sqlite:///var/ussd-server.db have {newest.current('kek').id}, which var/keys.json still "
        "lacks: join the file that has them, too."
    )


def test_a_running_server_takes_the_joined_keys_up_as_after_a_rotation(said: Said) -> None:
    mine, others = beside(said)
    held = KeyFile(PATH)
    assert said("join", "other.json") == 0
    assert held.refresh()
    assert held.current("kek") == others.current("kek")
    assert held.get(mine.current("kek").id) is not None


def test_one_id_with_two_secrets_is_refused_with_the_mend(said: Said) -> None:
    said("init")
    before = load(PATH)
    kek = before.current("kek")
    other = before.rotate("kek", NOW).keys
    save(OTHER, Keyring((msgspec.structs.replace(other[0], secret=Secret(bytes(32))), *other[1:])))
    assert said("join", "other.json") == 1
    assert said.err == (
        f"error: nothing was joined: {kek.id} is one key in var/keys.json and another in other.json, so one of the "
        "files was altered: bring back an older copy of that one, then join again\n"
    )
    assert load(PATH) == before


@pytest.mark.parametrize("which", ["retired", "stranger"])
def test_signing_keys_that_terminals_may_have_to_distrust_come_only_where_that_is_said(which: str, said: Said) -> None:
    said("init")
    first = load(PATH)
    if which == "retired":
        save(OTHER, first.rotate("kek", NOW + 1))
        save(PATH, first.rotate("signing", first.current("signing").created + 1).retire(first.current("signing").id))
    else:
        save(OTHER, Keyring().completed(NOW))
    before, theirs = load(PATH), load(OTHER)
    signing = theirs.current("signing").id
    assert said("join", "other.json") == 1
    assert said.err == (
        "error: nothing was joined: the servers of sqlite:///var/ussd-server.db do not use "
        f"{signing} of other.json: such a key may be another service's, or one that was retired because somebody has "
        "it, and terminals would believe it; --signing joins it all the same, --no-signing leaves it out\n"
    )
    assert load(PATH) == before
    assert said("join", "other.json", "--no-signing") == 0
    assert load(PATH).get(signing) is None
    assert load(PATH).get(theirs.current("kek").id) is not None
    assert said("join", "other.json", "--no-signing") == 0
    assert "Nothing was changed" in said.out
    assert said("join", "other.json", "--signing") == 0
    assert load(PATH).get(signing) is not None
    assert load(PATH).current("signing") == before.current("signing")


def comes_back_only_where_that_is_said(said: Said, leaked: str) -> None:
    """Retire a leaked key, then join the file as it was before that, in which it came to terminals once."""
    save(OTHER, load(PATH))
    assert said("retire", leaked, "--force") == 0
    assert said("join", "other.json") == 1
    assert f"do not use {leaked} of other.json: such a key may be another service's, or one that was " in said.err
    assert load(PATH).get(leaked) is None
    assert said("join", "other.json", "--no-signing") == 0
    assert load(PATH).get(leaked) is None
    assert said("join", "other.json", "--signing") == 0
    assert load(PATH).get(leaked) is not None


@pytest.mark.parametrize("place", [0, 1], ids=["the oldest", "a later one"])
@pytest.mark.parametrize("known", [True, False], ids=["known to the store", "no store"])
def test_a_retired_signing_key_comes_back_only_where_that_is_said(
    place: int, known: bool, said: Said, clock: Clock
) -> None:
    """No server runs that would have the store forget the key, and an older one than the leaked one may have stayed."""
    said("init")
    if known:
        noted(note(load(PATH)))
    for _ in range(2):
        clock.at += HOUR_MS
        assert said("rotate", "signing") == 0
    comes_back_only_where_that_is_said(said, load(PATH).of("signing")[place].id)


def test_a_retired_signing_key_that_was_made_after_the_one_in_use_comes_back_only_where_that_is_said(
    said: Said,
) -> None:
    """As one was that two directories made beside each other, where the servers went on with the other's."""
    said("init")
    first = load(PATH)
    save(OTHER, first.rotate("signing", first.current("signing").created + 1))
    save(PATH, first.rotate("signing", first.current("signing").created + 2))
    leaked = load(PATH).current("signing").id
    noted(note(load(OTHER)))
    assert said("join", "other.json") == 0
    assert load(PATH).current("signing") == load(OTHER).current("signing")
    comes_back_only_where_that_is_said(said, leaked)


def test_without_the_doubtful_signing_keys_the_one_that_the_servers_use_comes_all_the_same(said: Said) -> None:
    lost = lost_keys().rotate("signing", NOW + 1)
    noted(note(lost))
    said("init", "--force")
    save(OTHER, lost)
    assert said("join", "other.json") == 1
    assert f"do not use {lost.of('signing')[0].id} of other.json" in said.err
    assert said("join", "other.json", "--no-signing") == 0
    assert load(PATH).current("signing") == lost.current("signing")
    assert load(PATH).lacks(lost) == []
    assert load(PATH).get(lost.of("signing")[0].id) is None


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (None, 0o600, "there is no file other.json"),
        ("{}", 0o600, "other.json is not a key file: "),
        ('{"version": 1, "terminal": "hall-1"}', 0o600, "other.json is not a key file: "),
        ("", 0o640, "other.json can be read or written by other users; mend it with: chmod 600 other.json"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_and_nothing_changed(
    content: str | None, mode: int, told: str, said: Said
) -> None:
    said("init")
    before = PATH.read_bytes()
    if content is not None:
        OTHER.write_text(content)
        OTHER.chmod(mode)
    assert said("join", "other.json") == 2
    assert said.err.startswith(f"error: {told}")
    assert said.err.count("\n") == 1
    assert PATH.read_bytes() == before


def test_nothing_is_joined_where_the_store_does_not_answer(said: Said) -> None:
    beside(said)
    before = PATH.read_bytes()
    assert said("join", "other.json", "--store", "redis://127.0.0.1:1/0") == 1
    assert said.err.count("\n") == 1
    assert PATH.read_bytes() == before


def test_a_join_that_cannot_be_written_leaves_the_file_as_it_was(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    beside(said)
    before = PATH.read_bytes()
    monkeypatch.setattr(files.os, "replace", full)
    assert said("join", "other.json") == 1
    assert said.err == "error: the file var/keys.json cannot be used: No space left on device\n"
    assert PATH.read_bytes() == before
    assert not [each for each in PATH.parent.iterdir() if each.name.startswith(".keys.json")]


def test_no_secret_is_shown(said: Said) -> None:
    beside(said)
    secrets = [key["secret"] for path in (PATH, OTHER) for key in json.loads(path.read_text())["keys"]]
    said("join", "other.json")
    assert not [secret for secret in secrets if secret in said.out + said.err]
