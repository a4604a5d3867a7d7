"""`ussd-server keys init` and `list`: keys are made once, and told by age, use and codes, never by their secret."""

import json

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import CODE, DAY_MS, MSISDN, NOW, PATH, Clock, damage, listed, put
from ussd_server.secrecy.keys import Keyring, load, save
from ussd_server.secrecy.vault import Vault
from ussd_server.subscribers.codes import SealedCode


def test_keys_of_every_kind_are_made_once_and_only_named(said: Said) -> None:
    assert said("list") == 2
    assert said.err == "error: there are no keys in var; make them with: ussd-server keys init --data var\n"
    assert said("init") == 0
    assert "Made the keys in var/keys.json" in said.out
    stored = PATH.read_text(encoding="utf-8")
    assert said("init") == 0
    assert "Nothing was changed" in said.out
    assert said("list") == 0
    assert said.lines[-1].startswith("no code was counted: there is no store sqlite:///var/ussd-server.db, ")
    kept = json.loads(stored)["keys"]
    assert [key["kind"] for key in kept] == ["kek", "transport", "signing", "digest"]
    for key in kept:
        assert key["id"] in said.out
        assert key["secret"] not in said.out
    assert PATH.read_text(encoding="utf-8") == stored


def test_a_file_of_an_older_version_gets_what_it_lacks_and_says_so(said: Said) -> None:
    PATH.parent.mkdir(mode=0o700)
    save(PATH, Keyring().rotate("kek", NOW))
    kek = load(PATH).current("kek")
    assert said("init") == 0
    assert said.out.startswith("Added keys of the kinds transport, signing, digest to var/keys.json.")
    assert load(PATH).current("kek") == kek


def test_the_list_tells_age_use_and_codes(said: Said, clock: Clock) -> None:
    said("init")
    old = load(PATH).current("kek")
    put(Vault(load(PATH)).seal(CODE, MSISDN, 1))
    clock.at += 10 * DAY_MS
    assert listed(said, old.id)[2:] == ["2025-11-23", "07:00:00Z", "10", "days", "in", "use", "?", "?"]
    assert said.lines[-1] == "no code was counted, as there is one kek: ussd-server keys list --numbers counts"
    assert said("list", "--numbers") == 0
    assert next(line for line in said.lines if line.startswith(old.id)).split()[-2:] == ["1", "0"]
    ring = load(PATH).rotate("kek", clock.at)
    save(PATH, ring)
    clock.at += 3 * 3_600_000
    assert listed(said, old.id)[-4:] == ["10", "days", "1", "0"]
    assert listed(said, ring.current("kek").id)[-6:] == ["3", "hours", "in", "use", "0", "0"]
    put(SealedCode("kek-gone", b"s" * 16, b"b" * 72), "79101234568")
    said("list")
    assert said.out.endswith("no key here opens 1 code; owners of codes have to order new ones\n")


def test_keys_that_others_may_read_are_refused_with_the_mend(said: Said) -> None:
    said("init")
    PATH.chmod(0o644)
    for command in (("list",), ("rotate",), ("rewrap",), ("retire", "a")):
        assert said(*command) == 1
        assert "chmod 600 var/keys.json" in said.err
        assert said.err.count("\n") == 1


def test_a_data_directory_that_cannot_be_made_is_one_line(said: Said) -> None:
    assert said("init", "--data", "/proc/var") == 1
    assert said.err == "error: the directory /proc/var cannot be made: No such file or directory\n"


def test_with_one_kek_it_is_counted_where_numbers_are_asked_for(said: Said) -> None:
    said("init")
    damage("79101239000")
    assert said("list") == 0
    assert "damaged" not in said.out
    assert said("list", "--numbers") == 0
    assert "1 subscriber whose record is damaged: 79101239000; " in said.out
