"""What the vault sealed opens in its own place with its own key, and nowhere else."""

import asyncio
import base64
import errno
import hashlib
import os
import string
import threading
import traceback
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.secrecy import vault as vault_module
from ussd_server.secrecy.keys import Key, KeyFile, Keyring, change, load_or_create
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import Checked, CodeHasher, Part, UnknownKey, Vault, VaultError, generate
from ussd_server.subscribers.codes import SealedCode

NOW = 1_763_881_200_000
MSISDN = "79101234567"
OTHER = "79101234568"
CODE = Secret("90417263")
RING = Keyring().completed(NOW)
VAULT = Vault(RING)
SEALED = VAULT.seal(CODE, MSISDN, 1)


def altered(sealed: SealedCode, **changes: object) -> SealedCode:
    parts = {"kid": sealed.kid, "salt": sealed.salt, "box": sealed.box} | changes
    return SealedCode(**parts)  # type: ignore[arg-type]


# Codes ------------------------------------------------------------------------------------------------------------


def test_knows_the_code_and_no_other() -> None:
    assert VAULT.check(SEALED, CODE, MSISDN, 1).right
    for entered in ("90417264", "9041726", "904172630", "", " 90417263", "９０４１７２６３", "\ud800"):
        assert not VAULT.check(SEALED, Secret(entered), MSISDN, 1).right


def test_a_code_of_nobody_is_never_right_and_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    kdf = vault_module.nacl.pwhash.argon2id.kdf

    def counted(size: int, password: bytes, salt: bytes, opslimit: int, memlimit: int) -> bytes:
        costs.append((size, len(salt), opslimit, memlimit))
        return kdf(size, password, salt, opslimit=opslimit, memlimit=memlimit)

    monkeypatch.setattr(vault_module.nacl.pwhash.argon2id, "kdf", counted)
    assert not VAULT.check(None, CODE, MSISDN, 0).right
    assert not VAULT.check(SEALED, Secret("00000000"), MSISDN, 1).right
    assert costs == [(32, 16, 2, 19 * 1024 * 1024)] * 2


def test_the_stored_form_differs_each_time_and_holds_no_code() -> None:
    again = VAULT.seal(CODE, MSISDN, 1)
    assert again.salt != SEALED.salt
    assert again.box != SEALED.box
    assert CODE.reveal().encode() not in SEALED.box + SEALED.salt


@pytest.mark.parametrize(
    ("sealed", "msisdn", "generation"),
    [
        (SEALED, OTHER, 1),
        (SEALED, MSISDN, 2),
        (SEALED, MSISDN, 0),
        (altered(SEALED, box=SEALED.box[:-1]), MSISDN, 1),
        (altered(SEALED, box=bytes([SEALED.box[0] ^ 1]) + SEALED.box[1:]), MSISDN, 1),
        (altered(SEALED, box=SEALED.box[:-1] + bytes([SEALED.box[-1] ^ 1])), MSISDN, 1),
        (altered(SEALED, box=b""), MSISDN, 1),
        (altered(SEALED, box=b"short"), MSISDN, 1),
        (altered(SEALED, kid="kek-00000000"), MSISDN, 1),
    ],
)
def test_what_was_moved_or_altered_is_broken_and_not_merely_wrong(
    sealed: SealedCode, msisdn: str, generation: int
) -> None:
    for use in (
        lambda: VAULT.check(sealed, CODE, msisdn, generation).right,
        lambda: VAULT.rewrap(sealed, msisdn, generation),
    ):
        with pytest.raises(VaultError) as caught:
            use()
        assert CODE.reveal() not in "".join(traceback.format_exception(caught.value))


def test_another_salt_makes_every_entry_wrong() -> None:
    assert not VAULT.check(altered(SEALED, salt=bytes(16)), CODE, MSISDN, 1).right


def test_a_damaged_salt_is_broken_and_its_traceback_shows_no_code() -> None:
    with pytest.raises(VaultError) as caught:
        VAULT.check(altered(SEALED, salt=b"short"), CODE, MSISDN, 1)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    assert "argon2id failed" in text
    assert "Secret(***)" in text
    # This module's variables hold the code in a Secret, the library's in plain; only ours are in the traceback.
    assert CODE.reveal() not in text


def test_a_code_is_no_outbox_text_and_a_text_no_code() -> None:
    assert vault_module._place("code", MSISDN, "1") != vault_module._place("outbox", MSISDN, "1")
    as_text = f"{SEALED.kid}:{base64.urlsafe_b64encode(SEALED.box).decode()}"
    with pytest.raises(VaultError):
        VAULT.open_text(as_text, MSISDN, "1")
    kid, _, box = VAULT.seal_text(CODE, MSISDN, "1").partition(":")
    with pytest.raises(VaultError):
        VAULT.check(SealedCode(kid, SEALED.salt, base64.urlsafe_b64decode(box)), CODE, MSISDN, 1)


# Keys -------------------------------------------------------------------------------------------------------------


def test_keys_rotate_without_knowing_codes() -> None:
    rotated = RING.rotate("kek", NOW + 1)
    vault = Vault(rotated)
    assert vault.check(SEALED, CODE, MSISDN, 1).right  # the old key still opens
    moved = vault.rewrap(SEALED, MSISDN, 1)
    assert moved.kid == rotated.current("kek").id != SEALED.kid
    after = Vault(rotated.retire(SEALED.kid))
    assert after.check(moved, CODE, MSISDN, 1).right
    assert not after.check(moved, Secret("00000000"), MSISDN, 1).right
    with pytest.raises(UnknownKey, match="not in the key file"):
        after.check(SEALED, CODE, MSISDN, 1)


def test_a_key_of_another_kind_opens_nothing_even_if_it_is_the_same() -> None:
    kek = RING.current("kek")
    signing = Key(kek.id, "signing", NOW, True, kek.secret)
    with pytest.raises(VaultError):
        Vault(Keyring((signing,)).completed(NOW)).check(SEALED, CODE, MSISDN, 1)


def test_other_octets_under_the_same_id_open_nothing() -> None:
    stranger = Keyring(
        tuple(type(key)(key.id, key.kind, key.created, key.current, Secret(bytes(32))) for key in RING.keys)
    )
    with pytest.raises(VaultError):
        Vault(stranger).check(SEALED, CODE, MSISDN, 1)


# Texts ------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters()), st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_text_comes_back_in_its_place(text: str, entry_id: str) -> None:
    sealed = VAULT.seal_text(Secret(text), MSISDN, entry_id)
    assert sealed.isascii()
    assert sealed.isprintable()
    assert VAULT.open_text(sealed, MSISDN, entry_id).reveal() == text
    for msisdn, entry in ((OTHER, entry_id), (MSISDN, entry_id + "1"), (entry_id, MSISDN)):
        with pytest.raises(VaultError):
            VAULT.open_text(sealed, msisdn, entry)


@pytest.mark.parametrize("damaged", ["", ":", "kek", "kek:***", "kek:aaa", ":QUJD"])
def test_a_damaged_text_is_said_to_be(damaged: str) -> None:
    with pytest.raises(VaultError):
        VAULT.open_text(damaged, MSISDN, "1")
    with pytest.raises(VaultError):
        VAULT.open_text(f"{RING.current('kek').id}:{damaged}", MSISDN, "1")


# Digests ----------------------------------------------------------------------------------------------------------


@given(st.text(st.characters()), st.text(st.characters()))
def test_a_digest_knows_a_text_again_on_every_server_of_the_same_keys(text: str, other: str) -> None:
    digest = VAULT.digest(text)
    assert len(digest) == 16
    assert Vault(RING).digest(text) == digest
    assert (VAULT.digest(other) == digest) == (other == text)


def test_a_digest_tells_nothing_without_the_key() -> None:
    text = CODE.reveal()
    key = RING.current("digest").secret.reveal()
    assert Vault(Keyring().completed(NOW)).digest(text) != VAULT.digest(text)
    # One key makes digests of two kinds, which tell nothing of each other.
    assert VAULT.fingerprint(text) != VAULT.digest(text)
    assert hashlib.blake2b(text.encode(), digest_size=16, key=key).digest() != VAULT.digest(text)


def test_only_digests_of_what_is_too_short_for_a_secret_are_kept() -> None:
    vault = Vault(RING)
    assert [vault.digest(text) for text in ("4", "4", "00", "123", CODE.reveal())] == [
        VAULT.digest(text) for text in ("4", "4", "00", "123", CODE.reveal())
    ]
    kept = repr(vars(vault))
    assert "'4'" in kept
    assert "123" not in kept
    assert CODE.reveal() not in kept


def test_digests_of_the_words_of_a_flow_are_kept_until_it_is_exchanged() -> None:
    vault = Vault(RING)
    vault.know(["баланс", "stop"])
    written = ("баланс", "Баланс", "БАЛАНС", "stop", "Stop", "STOP", "sToP", "4")
    assert [vault.digest(text) for text in written] == [VAULT.digest(text) for text in written]
    kept = repr(vars(vault))
    assert [text for text in written if f"'{text}'" not in kept] == ["sToP"]
    vault.know(["balance"])
    kept = repr(vars(vault))
    assert "'Balance'" in kept
    assert "stop" not in kept


def test_a_rotation_changes_no_digest() -> None:
    after = Vault(RING.rotate("kek", NOW + 1))
    assert after.digest("text") == VAULT.digest("text")
    assert after.fingerprint("text", 1) == VAULT.fingerprint("text", 1)


PARTS = st.lists(st.text(st.characters(), max_size=3) | st.integers(-(2**63), 2**63), max_size=4)


@given(PARTS, PARTS)
def test_a_fingerprint_knows_the_same_parts_again_and_nothing_else(parts: list[str], others: list[str]) -> None:
    mark = VAULT.fingerprint(*parts)
    assert len(mark) == 16
    assert Vault(RING).fingerprint(*parts) == mark
    assert (VAULT.fingerprint(*others) == mark) == (others == parts)


def test_parts_of_a_fingerprint_do_not_run_together() -> None:
    marks = [
        VAULT.fingerprint(*parts)
        for parts in [("a", "b"), ("ab",), ("ab", ""), ("", "ab"), ("b", "a"), (), ("1",), (1,)]
    ]
    assert len(set(marks)) == len(marks)
    assert VAULT.fingerprint(Secret("ab")) == VAULT.fingerprint("ab") == VAULT.fingerprint(b"ab")


# Tokens and answers -----------------------------------------------------------------------------------------------

NUMBERS = st.text(string.digits, min_size=7, max_size=15)
VISIT_IDS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=40)


@given(NUMBERS, VISIT_IDS)
def test_a_token_comes_back_and_is_made_for_paths(msisdn: str, visit_id: str) -> None:
    token = VAULT.seal_token(msisdn, visit_id)
    assert VAULT.open_token(token) == (msisdn, visit_id)
    assert len(token) <= 200
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert msisdn not in token
    assert VAULT.seal_token(msisdn, visit_id) != token


TOKEN = VAULT.seal_token(MSISDN, "visit-1")


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_any_altered_character_makes_it_no_token(place: int, character: str) -> None:
    altered = TOKEN[:place] + character + TOKEN[place + 1 :]
    assert VAULT.open_token(altered) == ((MSISDN, "visit-1") if altered == TOKEN else None)


@given(st.text(st.characters()) | st.text(string.ascii_letters + "-_", max_size=210))
def test_anything_else_is_no_token(text: str) -> None:
    assert VAULT.open_token(text) is None


@pytest.mark.parametrize("text", ["", TOKEN[:-1], TOKEN + "=", TOKEN + "A", TOKEN * 2, "=" * 100, "A" * 10**6])
def test_what_is_nearly_a_token_is_none(text: str) -> None:
    assert VAULT.open_token(text) is None


def test_a_token_of_other_keys_and_of_another_purpose_is_none() -> None:
    assert Vault(Keyring().completed(NOW)).open_token(TOKEN) is None
    plain = msgspec.msgpack.encode((MSISDN, "visit-1"))
    for purpose, which in (("answer", "1"), ("code", 1), ("outbox", "1")):
        sealed = VAULT._encrypt(Secret(plain), vault_module._place(purpose, "", which))  # type: ignore[arg-type]
        token = base64.urlsafe_b64encode(msgspec.msgpack.encode(sealed)).rstrip(b"=").decode()
        assert VAULT.open_token(token) is None


def test_a_visit_id_that_is_too_long_is_a_defect() -> None:
    with pytest.raises(ValueError, match="at most 200 characters"):
        VAULT.seal_token(MSISDN, "v" * 100)


@given(st.binary(max_size=2000))
def test_an_answer_comes_back_for_its_request_alone(body: bytes) -> None:
    sealed = VAULT.seal_answer(body, "hall-1", "key")
    assert VAULT.open_answer(sealed, "hall-1", "key") == body
    assert len(body) < 8 or body not in sealed
    for terminal, key in (("hall-2", "key"), ("hall-1", "other"), ("key", "hall-1"), ("hall-1key", "")):
        with pytest.raises(VaultError):
            VAULT.open_answer(sealed, terminal, key)


@given(st.binary(max_size=100))
def test_a_damaged_answer_is_said_to_be(sealed: bytes) -> None:
    with pytest.raises(VaultError):
        VAULT.open_answer(sealed, "hall-1", "key")


def test_tokens_and_answers_open_under_the_key_before(tmp_path: Path) -> None:
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    vault = Vault(held)
    token, answer = vault.seal_token(MSISDN, "visit-1"), vault.seal_answer(b"body", "hall-1", "key")
    change(held.path, lambda ring: ring.rotate("kek", NOW + 1))
    assert held.refresh()
    assert vault.kek not in (token, answer)
    assert vault.open_token(token) == (MSISDN, "visit-1")
    assert vault.open_answer(answer, "hall-1", "key") == b"body"


def test_what_another_server_seals_with_a_newer_key_opens_at_once(tmp_path: Path) -> None:
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    vault = Vault(held)
    other = Vault(change(held.path, lambda ring: ring.rotate("kek", NOW + 1)))
    assert vault.open_token(other.seal_token(MSISDN, "visit-1")) == (MSISDN, "visit-1")
    assert vault.kek == other.kek


# New codes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drawn", "code"), [(0, "00000000"), (7, "00000007"), (99_999_999, "99999999")])
def test_a_code_has_all_its_digits(drawn: int, code: str) -> None:
    limits = []

    def below(limit: int) -> int:
        limits.append(limit)
        return drawn

    assert generate(8, below).reveal() == code
    assert limits == [100_000_000]


def test_codes_are_random() -> None:
    codes = [generate(8).reveal() for _ in range(500)]
    assert all(len(code) == 8 and code.isdigit() for code in codes)
    assert len(set(codes)) > 490
    assert len(Counter("".join(codes))) == 10


def test_a_short_code_is_refused() -> None:
    with pytest.raises(ValueError):
        generate(5)


def test_a_fingerprint_is_of_this_code_and_these_parts_alone() -> None:
    for sealed in (SEALED, None):
        fingerprint = VAULT.check(sealed, CODE, MSISDN, 1, "visits", "hall", "k").fingerprint
        assert VAULT.same(fingerprint, CODE, "visits", "hall", "k")
        assert not VAULT.same(fingerprint, Secret("00000000"), "visits", "hall", "k")
        assert not VAULT.same(fingerprint, CODE, "visits", "hall", "other")
    assert not VAULT.same(b"short", CODE, "visits", "hall", "k")


# Threads ----------------------------------------------------------------------------------------------------------


def test_hashing_leaves_the_loop_free_and_uses_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)
    names = set()

    class Meeting(Vault):
        def check(
            self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int, *parts: Part
        ) -> Checked:
            names.add(threading.current_thread().name.rpartition("_")[0])
            both.wait()  # passes only where two run at once, and the loop awaits them
            return super().check(sealed, code, msisdn, generation)

    async def check() -> list[bool]:
        hasher = CodeHasher(Meeting(RING))
        right, wrong = await asyncio.gather(
            hasher.check(SEALED, CODE, MSISDN, 1), hasher.check(SEALED, Secret("00000000"), MSISDN, 1)
        )
        await hasher.close()
        return [right.right, wrong.right]

    assert asyncio.run(check()) == [True, False]
    assert names == {"argon2"}


def test_hashing_stands_back_behind_the_loop() -> None:
    class Noting(Vault):
        def check(
            self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int, *parts: Part
        ) -> Checked:
            niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return Checked(False, b"")

    async def check() -> None:
        hasher = CodeHasher(Noting(RING))
        await hasher.check(SEALED, CODE, MSISDN, 1)
        await hasher.close()

    niceness: list[int] = []
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    asyncio.run(check())
    assert niceness == [min(19, before + vault_module.HASHING_NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_codes_are_hashed_where_the_system_lets_no_thread_stand_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(by: int) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    async def check() -> bool:
        hasher = CodeHasher(VAULT)
        try:
            return (await hasher.check(SEALED, CODE, MSISDN, 1)).right
        finally:
            await hasher.close()

    monkeypatch.setattr(os, "nice", refuse)
    assert asyncio.run(check())


def test_hashing_seals_and_hands_errors_on() -> None:
    async def check() -> None:
        hasher = CodeHasher(VAULT)
        sealed = await hasher.seal(CODE, MSISDN, 5)
        assert (await hasher.check(sealed, CODE, MSISDN, 5)).right
        with pytest.raises(VaultError):
            await hasher.check(sealed, CODE, MSISDN, 6)
        await hasher.close()

    asyncio.run(check())


def test_only_so_many_checks_are_admitted_at_once() -> None:
    async def check() -> None:
        hasher = CodeHasher(VAULT, most=2)
        places = [hasher.admit() for _ in range(3)]
        assert [place is None for place in places] == [False, False, True]
        assert hasher.full
        first, second, _ = places
        assert first is not None
        assert second is not None
        with first:
            assert (hasher.full, hasher.under_way) == (True, 2)
            sealed = await hasher.seal(CODE, MSISDN, 1)  # a new code waits its turn, whoever checks
            assert (await hasher.check(sealed, CODE, MSISDN, 1)).right
        assert (hasher.full, hasher.under_way) == (False, 1)
        with pytest.raises(RuntimeError), second:
            raise RuntimeError
        again = [hasher.admit() for _ in range(3)]
        assert [place is None for place in again] == [False, False, True]
        await hasher.close()
        assert hasher.admit() is None

    asyncio.run(check())


def test_closing_waits_for_what_is_under_way_and_cancels_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Barrier(3, timeout=30), threading.Event()

    class Slow(Vault):
        def check(
            self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int, *parts: Part
        ) -> Checked:
            begun.wait()
            assert go_on.wait(30)
            return Checked(True, b"")

    async def check() -> list[object]:
        hasher = CodeHasher(Slow(RING))
        checks = [asyncio.ensure_future(hasher.check(None, CODE, MSISDN, 1)) for _ in range(3)]
        await asyncio.to_thread(begun.wait)  # two are under way, the third waits for a thread
        closing = asyncio.ensure_future(hasher.close())
        await asyncio.wait({checks[2]})
        assert not closing.done()
        go_on.set()
        await closing
        return await asyncio.gather(*checks, return_exceptions=True)

    first, second, third = asyncio.run(check())
    assert first == second == Checked(True, b"")
    assert isinstance(third, asyncio.CancelledError)
