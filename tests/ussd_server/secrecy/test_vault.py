"""What the vault sealed opens in its own place with its own key, and nowhere else."""

import asyncio
import base64
import hashlib
import threading
import traceback
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd_server.secrecy import vault as vault_module
from ussd_server.secrecy.keys import Key, Keyring
from ussd_server.secrecy.secrets import Secret
from ussd_server.secrecy.vault import CodeHasher, Vault, VaultError, generate
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
    assert VAULT.verify(SEALED, CODE, MSISDN, 1)
    for entered in ("90417264", "9041726", "904172630", "", " 90417263", "９０４１７２６３", "\ud800"):
        assert not VAULT.verify(SEALED, Secret(entered), MSISDN, 1)


def test_a_code_of_nobody_is_never_right_and_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    kdf = vault_module.nacl.pwhash.argon2id.kdf

    def counted(size: int, password: bytes, salt: bytes, opslimit: int, memlimit: int) -> bytes:
        costs.append((size, len(salt), opslimit, memlimit))
        return kdf(size, password, salt, opslimit=opslimit, memlimit=memlimit)

    monkeypatch.setattr(vault_module.nacl.pwhash.argon2id, "kdf", counted)
    assert not VAULT.verify(None, CODE, MSISDN, 0)
    assert not VAULT.verify(SEALED, Secret("00000000"), MSISDN, 1)
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
        lambda: VAULT.verify(sealed, CODE, msisdn, generation),
        lambda: VAULT.rewrap(sealed, msisdn, generation),
    ):
        with pytest.raises(VaultError) as caught:
            use()
        assert CODE.reveal() not in "".join(traceback.format_exception(caught.value))


def test_another_salt_makes_every_entry_wrong() -> None:
    assert not VAULT.verify(altered(SEALED, salt=bytes(16)), CODE, MSISDN, 1)


def test_a_damaged_salt_is_broken_and_its_traceback_shows_no_code() -> None:
    with pytest.raises(VaultError) as caught:
        VAULT.verify(altered(SEALED, salt=b"short"), CODE, MSISDN, 1)
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
        VAULT.verify(SealedCode(kid, SEALED.salt, base64.urlsafe_b64decode(box)), CODE, MSISDN, 1)


# Keys -------------------------------------------------------------------------------------------------------------


def test_keys_rotate_without_knowing_codes() -> None:
    rotated = RING.rotate("kek", NOW + 1)
    vault = Vault(rotated)
    assert vault.verify(SEALED, CODE, MSISDN, 1)  # the old key still opens
    moved = vault.rewrap(SEALED, MSISDN, 1)
    assert moved.kid == rotated.current("kek").id != SEALED.kid
    after = Vault(rotated.retire(SEALED.kid))
    assert after.verify(moved, CODE, MSISDN, 1)
    assert not after.verify(moved, Secret("00000000"), MSISDN, 1)
    with pytest.raises(VaultError, match="not in the key file"):
        after.verify(SEALED, CODE, MSISDN, 1)


def test_a_key_of_another_kind_opens_nothing_even_if_it_is_the_same() -> None:
    kek = RING.current("kek")
    signing = Key(kek.id, "signing", NOW, True, kek.secret)
    with pytest.raises(VaultError):
        Vault(Keyring((signing,)).completed(NOW)).verify(SEALED, CODE, MSISDN, 1)


def test_other_octets_under_the_same_id_open_nothing() -> None:
    stranger = Keyring(
        tuple(type(key)(key.id, key.kind, key.created, key.current, Secret(bytes(32))) for key in RING.keys)
    )
    with pytest.raises(VaultError):
        Vault(stranger).verify(SEALED, CODE, MSISDN, 1)


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


# Threads ----------------------------------------------------------------------------------------------------------


def test_hashing_leaves_the_loop_free_and_uses_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)
    names = set()

    class Meeting(Vault):
        def verify(self, sealed: SealedCode | None, code: Secret[str], msisdn: str, generation: int) -> bool:
            names.add(threading.current_thread().name.rpartition("_")[0])
            both.wait()  # passes only where two run at once, and the loop awaits them
            return super().verify(sealed, code, msisdn, generation)

    async def check() -> list[bool]:
        hasher = CodeHasher(Meeting(RING))
        right, wrong = await asyncio.gather(
            hasher.verify(SEALED, CODE, MSISDN, 1), hasher.verify(SEALED, Secret("00000000"), MSISDN, 1)
        )
        await hasher.close()
        return [right, wrong]

    assert asyncio.run(check()) == [True, False]
    assert names == {"argon2"}


def test_hashing_seals_and_hands_errors_on() -> None:
    async def check() -> None:
        hasher = CodeHasher(VAULT)
        sealed = await hasher.seal(CODE, MSISDN, 5)
        assert await hasher.verify(sealed, CODE, MSISDN, 5)
        with pytest.raises(VaultError):
            await hasher.verify(sealed, CODE, MSISDN, 6)
        await hasher.close()

    asyncio.run(check())
