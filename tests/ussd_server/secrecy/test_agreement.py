"""Servers of one store have the same keys; a rotation may be under way, and no fingerprint tells anything of a key."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from ussd_server.secrecy import joining
from ussd_server.secrecy.agreement import (
    OtherKeys,
    agree,
    check,
    ids,
    in_use,
    joined,
    lacking,
    left_for,
    note,
    replaced_at,
)
from ussd_server.secrecy.keys import Keyring, KeysError

NOW = 1_763_881_200_000
FILE = Path("var/keys.json")
RING = Keyring().completed(NOW)
OLD = RING.current("kek").id
ROTATED = RING.rotate("kek", NOW + 1)
RETIRED = ROTATED.retire(OLD)
STRANGERS = Keyring().completed(NOW)


class Memory:
    """A store's memory of keys; `meanwhile` is noted by somebody else just before the next note."""

    def __init__(self, noted: str = "", meanwhile: str = "") -> None:
        self.noted = noted
        self.meanwhile = meanwhile

    async def noted_keys(self) -> str:
        return self.noted

    async def note_keys(self, before: str, after: str) -> bool:
        self.noted, self.meanwhile = self.meanwhile or self.noted, ""
        if self.noted != before:
            return False
        self.noted = after
        return True


def agreed(ring: Keyring, memory: Memory) -> str:
    asyncio.run(agree(memory, "the store", ring, FILE, NOW))
    return memory.noted


@pytest.mark.parametrize("noted", ["", note(RING), note(ROTATED), note(RETIRED)])
def test_a_ring_with_every_key_in_use_is_accepted_and_noted(noted: str) -> None:
    assert agreed(ROTATED, Memory(noted)) == note(ROTATED, noted, NOW)


def test_a_key_is_replaced_when_the_servers_of_the_store_have_another_and_not_when_that_was_made() -> None:
    memory = Memory(agreed(RING, Memory()))
    old, new = RING.current("kek"), ROTATED.current("kek")
    assert replaced_at(memory.noted, old) == 0
    for at in (NOW + 50, NOW + 60):  # the second server, the next start
        asyncio.run(agree(memory, "the store", ROTATED, FILE, at))
        assert (replaced_at(memory.noted, old), replaced_at(memory.noted, new)) == (NOW + 50, 0)
    # Nobody knows it of a store whose servers never had the old one, nor where an earlier version has noted it.
    assert replaced_at(agreed(ROTATED, Memory()), old) == 0
    earlier = '[["kek-1",false,"00"]]'
    assert replaced_at(earlier, old) == 0
    assert lacking(RING, earlier) == []


def test_an_older_key_that_the_servers_never_had_was_replaced_when_they_got_it() -> None:
    """It came from another file, where it may have been in use until then, whenever it was made."""
    stray = Keyring().rotate("kek", NOW - 7).keys[0]
    memory = Memory(agreed(RING, Memory()))
    both = Keyring((msgspec.structs.replace(stray, current=False), *RING.keys))
    for at in (NOW + 50, NOW + 60):
        asyncio.run(agree(memory, "the store", both, FILE, at))
        assert replaced_at(memory.noted, stray) == NOW + 50


def test_a_ring_that_lacks_a_key_in_use_is_refused_with_the_mend(capsys: pytest.CaptureFixture[str]) -> None:
    for ring, noted, absent in (
        (RING, ROTATED, [ROTATED.current("kek").id]),
        (Keyring(), RING, [key.id for key in RING.keys]),
        (STRANGERS, RING, [key.id for key in RING.keys]),
        (Keyring(tuple(key for key in RING.keys if key.kind != "digest")), RING, [RING.current("digest").id]),
    ):
        assert sorted(lacking(ring, note(noted))) == sorted(absent)
        with pytest.raises(OtherKeys) as refused:
            agreed(ring, Memory(note(noted)))
        text = str(refused.value)
        if ring.keys:
            assert text.startswith("the store: its servers have other keys than var/keys.json, which lacks ")
            assert text.endswith("; where none is left, ussd-server keys adopt tells what is lost and asks")
            if ring is STRANGERS:
                assert f"never had its {', '.join(key.id for key in ring.keys)}, and" in text
            else:
                assert ": bring back the keys.json that has them, from a backup or another server's data " in text
        else:
            assert text.startswith("the store: its servers have the keys ")
            assert text.endswith(
                ", and there is no var/keys.json: bring back a copy of it, from a backup or another server's data "
                "directory"
            )
        assert "\n" not in text
        assert all(id in text for id in absent)


def test_another_key_of_the_same_name_is_another_key() -> None:
    again = Keyring().rotate("kek", NOW, lambda size: b"\x01" * size)
    other = Keyring().rotate("kek", NOW, lambda size: (b"\x01" if size == 4 else b"\x02") * size)
    kek = again.current("kek").id
    assert kek == other.current("kek").id
    assert lacking(other, note(again)) == [kek]


@pytest.mark.parametrize(
    ("ring", "noted", "left"),
    [
        (RETIRED, note(RETIRED), True),
        (RETIRED, note(ROTATED), True),
        (RETIRED, note(RING), False),
        (STRANGERS, note(RING), False),
        (RING, note(ROTATED), False),
        (RING, "", False),
    ],
)
def test_keys_in_force_go_for_others_where_servers_have_none_but_these_in_use(
    ring: Keyring, noted: str, left: bool
) -> None:
    assert left_for(ring, noted, in_force=RING, agreed=RING) is left


@pytest.mark.parametrize("agreed", [RING, STRANGERS, Keyring(), Keyring(tuple(reversed(ROTATED.keys))).retire(OLD)])
def test_a_key_that_the_store_was_never_told_of_is_left_for_none(agreed: Keyring) -> None:
    """What this server has sealed with it, no other can open."""
    known = agreed.get(ROTATED.current("kek").id) is not None
    other = RING.rotate("kek", NOW + 2)
    assert left_for(other, note(other), in_force=ROTATED, agreed=agreed) is known


def test_two_rotations_beside_each_other_are_joined_as_it_is_told() -> None:
    theirs = RING.rotate("kek", NOW + 2)
    mine = ROTATED.current("kek")
    memory = Memory(note(theirs))
    with pytest.raises(OtherKeys) as refused:
        agreed(ROTATED, memory)
    assert str(refused.value) == (
        f"the store: its servers have other keys than var/keys.json, which lacks {theirs.current('kek').id}: copy "
        f"nothing over var/keys.json, for they never had its {mine.id}, and codes may be under that; take the "
        "keys.json that has the others, from a backup or another server's data directory, give ussd-server keys join "
        "with it and --data var, and put var/keys.json into every other data directory; where none is left, "
        "ussd-server keys adopt tells what is lost and asks"
    )
    both = joining.joined(ROTATED, theirs, in_use(theirs, memory.noted))
    asyncio.run(agree(memory, "the store", both, FILE, NOW + 9))
    assert both.lacks(ROTATED) == both.lacks(theirs) == lacking(theirs, memory.noted) == []


def test_what_the_servers_have_in_use_of_a_ring_is_told_by_id() -> None:
    assert in_use(ROTATED, note(ROTATED)) == {key.id for key in ROTATED.keys if key.current}
    assert in_use(ROTATED, note(RING)) == {key.id for key in RING.keys}
    assert in_use(STRANGERS, note(RING)) == in_use(RING, "") == set()


def test_all_keys_that_were_noted_are_named() -> None:
    assert sorted(ids(note(ROTATED))) == sorted(key.id for key in ROTATED.keys)
    assert ids("") == []


def test_of_two_that_begin_a_store_at_once_the_second_is_judged_by_the_first() -> None:
    with pytest.raises(OtherKeys):
        agreed(STRANGERS, Memory(meanwhile=note(RING)))
    assert agreed(ROTATED, Memory(meanwhile=note(RING))) == note(ROTATED, note(RING), NOW)


@pytest.mark.parametrize("noted", ["{", "{}", '[["kek-1"]]'])
def test_what_cannot_be_read_is_told_and_kept(noted: str) -> None:
    memory = Memory(noted)
    with pytest.raises(KeysError, match="what the store remembers of its servers' keys cannot be read: "):
        agreed(RING, memory)
    assert memory.noted == noted


def test_a_check_notes_nothing() -> None:
    memory = Memory(note(RING))
    asyncio.run(check(memory, "the store", ROTATED, FILE))
    assert memory.noted == note(RING)


def test_two_stores_become_one_where_the_servers_of_either_have_both_keys() -> None:
    plain, rotated, strange = note(RING), note(ROTATED), note(STRANGERS)
    assert joined("", "") == ""
    assert joined("", plain) == joined(plain, "") == joined(plain, plain) == plain
    assert joined(plain, rotated) == joined(rotated, plain) == rotated
    assert joined(plain, strange) is None
    assert joined(plain, note(RETIRED)) is None


def test_what_is_noted_holds_no_key() -> None:
    noted = note(ROTATED)
    for key in ROTATED.keys:
        secret = key.secret.reveal()
        assert secret.hex() not in noted
        assert secret[:8].hex() not in noted
    assert note(Keyring(tuple(reversed(ROTATED.keys)))) == noted
