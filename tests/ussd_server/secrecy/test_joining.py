"""Two key files become one that has all keys, whichever is joined into which, and no key in use that servers lack."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.secrecy.joining import clashing, coming, doubtful, joined
from ussd_server.secrecy.keys import KINDS, Keyring, Kind
from ussd_server.secrecy.secrets import Secret

NOW = 1_763_881_200_000
RING = Keyring().completed(NOW)
OURS = RING.rotate("kek", NOW + 1)
THEIRS = RING.rotate("kek", NOW + 2)
STRANGERS = Keyring().completed(NOW + 9)
MINE, OTHER, OLD = (ring.current("kek").id for ring in (OURS, THEIRS, RING))


def used(ring: Keyring, kind: Kind = "kek") -> str:
    return ring.current(kind).id


def test_of_two_rotated_beside_each_other_all_keys_are_kept_and_the_newer_is_in_use_in_both() -> None:
    here, there = joined(OURS, THEIRS, ()), joined(THEIRS, OURS, ())
    assert [key.id for key in here.of("kek")] == [OLD, MINE, OTHER]
    assert {key.id for key in here.keys} == {key.id for key in there.keys}
    assert used(here) == used(there) == OTHER
    assert [kind for kind in KINDS if kind != "kek" and used(here, kind) != used(RING, kind)] == []


def test_what_the_servers_have_in_use_stays_so() -> None:
    assert used(joined(OURS, THEIRS, {MINE})) == MINE
    assert used(joined(THEIRS, OURS, {MINE})) == MINE
    assert used(joined(OURS, STRANGERS, {used(STRANGERS)})) == used(STRANGERS)
    assert used(joined(OURS, STRANGERS, ())) == MINE


def test_a_key_that_the_other_has_as_an_older_one_gives_way_be_it_the_servers_still() -> None:
    """As one does that was made for several data directories, and is in none of them yet."""
    more = THEIRS.rotate("transport", NOW + 3)
    assert used(joined(RING, THEIRS, {OLD})) == OTHER
    kept = joined(THEIRS, RING.rotate("transport", NOW + 3), {OLD})
    assert used(kept) == OTHER
    assert used(joined(RING, more, ()), "transport") == used(more, "transport")


def test_where_each_has_the_others_as_an_older_one_the_servers_decide() -> None:
    def using(kid: str, more: Keyring) -> Keyring:
        keys = (key for key in joined(OURS, THEIRS, ()).keys if key.kind == "kek")
        turned = (msgspec.structs.replace(key, current=key.id == kid) for key in keys)
        return Keyring((*turned, *(key for key in more.keys if key.kind != "kek")))

    here, there = using(MINE, RING), using(OTHER, RING.rotate("transport", NOW + 3))
    assert used(joined(here, there, {MINE})) == MINE
    assert used(joined(here, there, {OTHER})) == OTHER


def test_another_services_keys_come_as_older_ones_and_the_digest_key_stays() -> None:
    both = joined(RING, STRANGERS, ())
    assert [used(both, kind) for kind in KINDS] == [used(RING, kind) for kind in KINDS]
    assert [len(both.of(kind)) for kind in KINDS] == [2, 2, 2, 2]
    assert used(joined(RING, STRANGERS, {used(STRANGERS, "digest")}), "digest") == used(STRANGERS, "digest")


def test_a_kind_that_one_of_them_lacks_is_the_others() -> None:
    half = Keyring(RING.of("kek"))
    for ring in (joined(half, RING, ()), joined(RING, Keyring(THEIRS.of("kek")), ())):
        assert ring.missing() == ()
    assert [key.current for key in joined(Keyring(), Keyring((OURS.keys[0],)), ()).keys] == [False]


def test_joining_again_is_nothing() -> None:
    both = joined(OURS, THEIRS, ())
    for ring in (OURS, THEIRS, both):
        assert coming(both, ring) == ()
        assert joined(both, ring, {MINE}) is both


def test_a_key_that_another_has_replaced_was_replaced_some_time_whatever_their_order() -> None:
    for servers_use in ({MINE}, {OTHER}):
        both = joined(OURS, THEIRS, servers_use)
        assert all(both.replaced_at(key) for key in both.of("kek") if not key.current)


def test_one_id_with_two_secrets_or_kinds_is_a_clash() -> None:
    kek = RING.current("kek")
    altered = msgspec.structs.replace(kek, secret=Secret(bytes(32)))
    other_kind = msgspec.structs.replace(kek, kind="transport")
    for key in (altered, other_kind):
        assert clashing(RING, Keyring((key,))) == [kek.id]
    for ring in (OURS, STRANGERS, Keyring((msgspec.structs.replace(kek, current=False, created=1),))):
        assert clashing(RING, ring) == []


def test_signing_keys_are_sure_where_the_servers_use_them_alone() -> None:
    first = RING.current("signing").id
    rotated = RING.rotate("signing", NOW + 1)
    second = used(rotated, "signing")
    unsigned = Keyring(tuple(key for key in RING.keys if key.kind != "signing"))
    assert doubtful(rotated.retire(first), RING, ()) == [first]
    assert doubtful(RING, rotated, ()) == [second]
    assert doubtful(RING, rotated, {second}) == []
    assert doubtful(unsigned, rotated, {second}) == [first]
    assert doubtful(RING, STRANGERS, {first}) == [used(STRANGERS, "signing")]
    assert doubtful(RING, STRANGERS, {used(STRANGERS, "signing")}) == []
    assert doubtful(rotated, RING, ()) == doubtful(RING, OURS, ()) == []


@pytest.mark.parametrize("start", [Keyring(), RING])
@given(data=st.data())
def test_every_key_of_either_is_kept_and_each_kind_has_one_in_use(start: Keyring, data: st.DataObject) -> None:
    rotations = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=6)

    def ring() -> Keyring:
        made = start
        for kind, at in data.draw(rotations):
            made = made.rotate(kind, NOW + at)
        return made

    ours, theirs = ring(), ring()
    ids = sorted({key.id for key in (*ours.keys, *theirs.keys)})
    servers_use = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(()))
    both = joined(ours, theirs, servers_use)
    assert sorted(key.id for key in both.keys) == ids
    assert both.lacks(ours) == both.lacks(theirs) == []
    for kind in KINDS:
        assert sum(key.current for key in both.of(kind)) == bool(both.of(kind))
