"""Where the keys of the store's servers are gone, none are made and none given up before the loss is told."""

from pathlib import Path

import pytest

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import PATH, ids_of, listed, lost_keys
from ussd_server import store_note, store_url
from ussd_server.secrecy.keys import Keyring, load, save


@pytest.mark.parametrize("words", [("list",), ("rotate",), ("rewrap",), ("retire", "kek-1"), ("adopt",)])
def test_where_the_key_file_is_gone_nobody_is_told_to_make_new_keys(words: tuple[str, ...], said: Said) -> None:
    lost = lost_keys()
    assert said(*words) == 2
    assert said.err == (
        f"error: there are no keys in var, and the servers of sqlite:///var/ussd-server.db have {ids_of(lost)}: bring "
        "back a copy of keys.json, from a backup or another server's data directory. New keys would open nothing that "
        "is there\n"
    )
    assert not PATH.exists()


def test_where_the_key_file_is_gone_none_is_made_but_by_force(said: Said) -> None:
    lost = lost_keys()
    assert said("init") == 1
    assert said.err.startswith(
        f"error: no keys were made: the servers of sqlite:///var/ussd-server.db have {ids_of(lost)}, and new ones "
        "would open nothing that is there. Bring back a copy of keys.json, "
    )
    assert not PATH.exists()
    # An older copy lacks a kind that they have: it is not completed with a key of its own.
    save(PATH, Keyring(lost.of("kek")))
    before = PATH.read_bytes()
    assert said("init") == 1
    assert lost.current("digest").id in said.err
    assert PATH.read_bytes() == before
    PATH.unlink()
    assert said("init", "--force") == 0
    assert "Made the keys in var/keys.json" in said.out
    assert said("init") == 0  # nothing would be made
    assert "Nothing was changed" in said.out


def test_no_keys_are_made_where_nobody_knows_whether_there_were_some(said: Said) -> None:
    away = ("--store", "redis://127.0.0.1:1/0")
    assert said("init", *away) == 1
    assert "it cannot be told whether the servers of redis://127.0.0.1:1/0 have some: " in said.err
    assert said("list", *away) == 2
    assert "whether its servers have had some cannot be told: " in said.err
    PATH.parent.mkdir(mode=0o700)
    store_note.note(Path("var"), store_url.parse("redis://127.0.0.1:1/0"))
    for command in ("init", "list"):
        assert said(command) == 2
        assert "add --store 'redis://127.0.0.1:1/0'" in said.err
    assert not PATH.exists()
    assert said("init", "--force", *away) == 0
    assert said("list", *away) == 0
    assert said.lines[-1].startswith("the keys were not compared with those of the store's servers: ")


def test_the_list_shows_other_keys_than_the_servers_as_what_they_are(said: Said) -> None:
    lost = lost_keys()
    said("init", "--force")
    assert listed(said, load(PATH).current("kek").id)[-4:] == ["in", "use", "0", "0"]
    assert said.lines[-3:] == [
        "codes are those in sqlite:///var/ussd-server.db",
        (
            f"its servers have {ids_of(lost)}, which are not here: copy nothing over var/keys.json, for they never had "
            f"its {', '.join(key.id for key in load(PATH).keys)}, and codes may be under that; take the keys.json "
            "that has the others, from a backup or another server's data directory, give ussd-server keys join with it "
            "and --data var, and put var/keys.json into every other data directory"
        ),
        "no key here opens 3 codes",
    ]
    save(PATH, Keyring(lost.of("kek")))
    assert said("list") == 0
    assert said.lines[-1].endswith(
        ": bring back the keys.json that has them, from a backup or another server's data directory, to var"
    )
