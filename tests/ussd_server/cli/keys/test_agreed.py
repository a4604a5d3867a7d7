"""The store notes which keys its servers have: others are neither used nor rotated nor retired."""

from tests.ussd_server.cli.command_line import Said
from tests.ussd_server.cli.keys.stored import NOW, PATH, Clock, noted
from ussd_server.secrecy.agreement import lacking, note
from ussd_server.secrecy.keys import Keyring, load, save


def test_a_rotation_and_a_retirement_are_known_to_the_store(said: Said, clock: Clock) -> None:
    said("init")
    before = load(PATH)
    noted(note(before))
    assert said("rotate", "kek") == 0
    assert noted() == note(load(PATH), note(before), clock.at)
    assert said("rotate", "transport") == 0  # a server would note it; none runs here
    assert said("retire", before.current("transport").id, "--force") == 0
    assert lacking(load(PATH), noted()) == []


def test_keys_of_other_servers_are_neither_used_nor_retired_nor_rotated(said: Said) -> None:
    said("init")
    others = Keyring().completed(NOW)
    save(PATH, load(PATH).rotate("kek", NOW))
    before, old = load(PATH), load(PATH).of("kek")[0].id
    noted(note(others))
    for words in (
        ("rotate", "kek"),
        ("rotate", "kek", "--no-rewrap"),
        ("rotate", "transport"),
        ("rotate", "signing"),
        ("rewrap",),
        ("retire", old, "--force"),
    ):
        assert said(*words) == 1
        assert "its servers have other keys than var/keys.json" in said.err
        assert said.err.count("\n") == 1
    assert load(PATH) == before
    assert noted() == note(others)
