"""The record survives being stored, records of older versions included, and flows see the right facts."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.session import Pending, Place, Session, Values
from ussd_server.secrecy.secrets import Secret
from ussd_server.subscribers.codes import LOCK_MS, POLICY, RESERVATION_MS, Access, Reservation, SealedCode
from ussd_server.subscribers.deliveries import Awaited
from ussd_server.subscribers.record import Exchange, Pushed, Subscriber, decode, encode, facts
from ussd_server.subscribers.visits import Visit
from ussd_server.turns.service import REGISTRY

NOW = 1_763_881_200_000
MSISDN = "79101234567"
SEALED = SealedCode("kek-1", b"salt", b"box")

TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
TIMES = st.integers(0, 2**53)
VALUES = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


def some(kind_: type[Any], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return records with each field given or left at its default, so that no field is forgotten here."""
    assert set(fields) == set(kind_.__struct_fields__)
    required = {field.name for field in msgspec.structs.fields(kind_) if field.required}
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    ).map(lambda values: kind_(**values))


RESERVATIONS = some(Reservation, id=TEXTS, lapses=TIMES, generation=TIMES)
ACCESSES = some(
    Access,
    sealed=st.none() | some(SealedCode, kid=TEXTS, salt=st.binary(max_size=16), box=st.binary(max_size=80)),
    generation=TIMES,
    issued_at=TIMES,
    wrong=TIMES,
    wrong_in_life=TIMES,
    locked_until=TIMES,
    reservations=st.lists(RESERVATIONS, max_size=3).map(tuple),
    orders=st.lists(TIMES, max_size=5).map(tuple),
    lapsed=st.lists(TEXTS, max_size=3).map(tuple),
    told_until=TIMES,
)


def lists(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


SIMPLE = {
    str: TEXTS,
    int: TIMES,
    bool: st.booleans(),
    tuple[str, ...]: lists(TEXTS),
    tuple[int, ...]: lists(TIMES),
    tuple[Place, ...]: lists(st.builds(Place, TEXTS, TIMES)),
    str | None: st.none() | TEXTS,
    dict[str, Values]: st.dictionaries(TEXTS, VALUES, max_size=2),
    bytes: st.binary(max_size=16),
}


def records(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return records of a kind by its fields' types; what is in neither table is a dict of values."""
    return some(kind, **{field.name: SIMPLE.get(field.type, VALUES) for field in msgspec.structs.fields(kind)})


SUBSCRIBERS = some(
    Subscriber,
    msisdn=TEXTS,
    language=TEXTS,
    activated_at=TIMES,
    access=ACCESSES,
    sessions=st.dictionaries(TEXTS, records(Session), max_size=2),
    exchanges=st.dictionaries(TEXTS, records(Exchange), max_size=2),
    pending=st.dictionaries(TEXTS, records(Pending), max_size=2),
    replies=lists(TIMES),
    strays=lists(TIMES),
    letters=st.binary(max_size=20),
    visit=st.none() | records(Visit),
    offers_at=TIMES,
    push=st.none()
    | some(
        Pushed,
        id=TEXTS,
        kind=st.sampled_from(["notify", "ask"]),
        account=TEXTS,
        until=TIMES,
        sent=st.booleans(),
        before=st.none() | records(Exchange),
        session=st.none() | records(Session),
    ),
    awaited=st.dictionaries(
        TEXTS,
        some(Awaited, account=TEXTS, sent=TIMES, parts=st.dictionaries(TEXTS, TEXTS, max_size=2), error=TEXTS),
        max_size=2,
    ),
)


@given(SUBSCRIBERS)
def test_a_record_comes_back_as_it_was(record: Subscriber) -> None:
    assert decode(encode(record)) == record


@given(SUBSCRIBERS)
def test_a_record_of_an_older_version_reads_with_the_rest_at_its_default(record: Subscriber) -> None:
    stored = msgspec.msgpack.decode(encode(record))
    required = sum(field.required for field in msgspec.structs.fields(Subscriber))
    for known in range(required, len(stored) + 1):
        older = decode(msgspec.msgpack.encode(stored[:known]))
        values = dict(zip(Subscriber.__struct_fields__[:known], msgspec.structs.astuple(record)[:known], strict=True))
        assert older == Subscriber(**values)


def test_the_first_stored_form_reads_for_ever() -> None:
    """Octets of the first version, field by field; a change of order or type breaks this test and every database."""
    sealed = ["kek-1", b"salt", b"box"]
    access = [sealed, 2, NOW, 1, 4, 0, [["r", NOW + 1, 2]], [NOW - 1, NOW]]
    first = msgspec.msgpack.encode([MSISDN, "ru", NOW, access, {}, {}, {}, [NOW]])
    assert decode(first) == Subscriber(
        MSISDN,
        "ru",
        NOW,
        Access(
            sealed=SEALED,
            generation=2,
            issued_at=NOW,
            wrong=1,
            wrong_in_life=4,
            reservations=(Reservation("r", NOW + 1, 2),),
            orders=(NOW - 1, NOW),
        ),
        replies=(NOW,),
    )
    # Fields that came later are written, too, and nothing before them moves.
    again = msgspec.msgpack.decode(encode(decode(first)))
    assert [*again[:3], again[3][:8], *again[4:8]] == msgspec.msgpack.decode(first)


def test_fields_of_a_newer_version_are_passed_over() -> None:
    newer = [*msgspec.msgpack.decode(encode(Subscriber(MSISDN, "ru"))), "new"]
    assert decode(msgspec.msgpack.encode(newer)) == Subscriber(MSISDN, "ru")


def test_a_secret_cannot_be_stored_by_mistake() -> None:
    session = Session("s", "r", "sms", "n", NOW, values={"code": Secret("90417263")})
    with pytest.raises(TypeError):
        encode(Subscriber(MSISDN, sessions={"sms": session}))


def test_facts_are_those_that_flows_may_name_and_the_number() -> None:
    found = facts(Subscriber(MSISDN), NOW, "ru", "ussd")
    assert set(REGISTRY.facts) <= set(found)
    assert set(found) <= set(REGISTRY.facts) | {"msisdn"}


CODED = Access(sealed=SEALED, generation=1, issued_at=NOW)


@pytest.mark.parametrize(
    ("record", "now", "expected"),
    [
        (Subscriber(MSISDN), NOW, {"active": False, "has_code": False, "locked": False, "language": "ru"}),
        (Subscriber(MSISDN, "en", NOW), NOW, {"active": True, "language": "en"}),
        (Subscriber(MSISDN), NOW, {"offers": False}),
        (Subscriber(MSISDN, offers_at=NOW), NOW, {"offers": True}),
        (Subscriber(MSISDN, access=CODED), NOW, {"has_code": True}),
        (Subscriber(MSISDN, access=CODED), NOW + POLICY.max_age_ms, {"has_code": False}),
        (Subscriber(MSISDN, access=Access(wrong=3, locked_until=NOW + 1)), NOW, {"locked": True}),
        (Subscriber(MSISDN, access=Access(wrong=3, locked_until=NOW)), NOW, {"locked": False}),
        (
            Subscriber(MSISDN, access=Access(wrong=2, reservations=(Reservation("r", NOW, 0),))),
            NOW + LOCK_MS - RESERVATION_MS,
            {"locked": True},
        ),
    ],
)
def test_facts_say_what_holds_at_the_moment(record: Subscriber, now: int, expected: dict[str, object]) -> None:
    found = facts(record, now, "ru", "ussd")
    assert found["msisdn"] == MSISDN
    assert {name: found[name] for name in expected} == expected
