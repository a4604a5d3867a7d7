"""The key file is the owner's alone, is replaced whole, and says in one line what is wrong with it."""

import json
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from ussd_server.secrecy import files
from ussd_server.secrecy.keys import (
    KINDS,
    Key,
    KeyFile,
    Keyring,
    KeysError,
    Loaded,
    change,
    load,
    load_or_create,
    save,
)
from ussd_server.secrecy.secrets import Secret

NOW = 1_763_881_200_000


def counting() -> Callable[[int], bytes]:
    """Return a source of octets that repeats itself every second time, as bad luck would."""
    calls = iter(range(1000))
    return lambda size: (next(calls) // 2).to_bytes(size, "big")


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def stored(**changes: Any) -> dict[str, Any]:
    return {"id": "kek-1", "kind": "kek", "created": NOW, "current": True, "secret": "A" * 43 + "="} | changes


# The ring ---------------------------------------------------------------------------------------------------------


def test_rotation_makes_a_new_current_key_and_keeps_the_old() -> None:
    first = Keyring().rotate("kek", NOW)
    second = first.rotate("signing", NOW + 1).rotate("kek", NOW + 2)
    old, new = first.current("kek"), second.current("kek")
    assert old.id != new.id
    assert new.secret != old.secret
    kept = second.get(old.id)
    assert kept is not None
    assert (kept.secret, kept.current) == (old.secret, False)
    assert second.current("signing").created == NOW + 1
    assert [key.current for key in second.keys] == [False, True, True]


def test_ids_are_unique_whatever_the_dice_say() -> None:
    random = counting()
    ring = Keyring()
    for _ in range(20):
        ring = ring.rotate("kek", NOW, random)
    assert len({key.id for key in ring.keys}) == 20


def test_an_old_key_can_be_retired_the_current_one_cannot() -> None:
    ring = Keyring().rotate("kek", NOW).rotate("kek", NOW)
    old, new = ring.keys
    assert ring.retire(old.id).keys == (new,)
    with pytest.raises(KeysError, match="rotate first"):
        ring.retire(new.id)
    with pytest.raises(KeysError, match="there is no key"):
        ring.retire("kek-none")


def test_a_kind_without_a_key_is_said_with_the_mend() -> None:
    with pytest.raises(KeysError, match=r"no current key of the kind transport; .* keys rotate transport$"):
        Keyring().rotate("kek", NOW).current("transport")


def test_a_ring_shows_no_key() -> None:
    ring = Keyring((Key("kek-1", "kek", NOW, True, Secret(b"k" * 32)),))
    assert "kkkk" not in repr(ring)
    assert "Secret(***)" in repr(ring)


# The file ---------------------------------------------------------------------------------------------------------


def test_the_first_start_makes_the_keys_and_the_next_finds_them(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "data"
    first = load_or_create(directory, NOW)
    assert first.created
    assert first.path.parent == directory
    assert [(key.kind, key.created, key.current) for key in first.ring.keys] == [(kind, NOW, True) for kind in KINDS]
    second = load_or_create(directory, NOW + 1)
    assert not second.created
    assert second.ring == first.ring


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_the_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save(tmp_path / "keys.json", Keyring().rotate("kek", NOW))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert load_or_create(tmp_path, NOW).created is False


def test_the_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    load_or_create(tmp_path / "data", NOW)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_what_is_saved_is_loaded_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = Keyring().rotate("kek", NOW).rotate("transport", NOW + 1).rotate("signing", NOW + 2).rotate("kek", NOW + 3)
    save(path, Keyring().rotate("kek", NOW))
    save(path, ring)
    assert load(path) == ring
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_start_at_once_end_up_with_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winners = []
    link = os.link

    def overtaken(source: Path, target: Path) -> None:
        if not winners:
            winners.append(None)
            winners[0] = load_or_create(tmp_path, NOW)  # the other server, between our look and our link
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    loser = load_or_create(tmp_path, NOW)
    (winner,) = winners
    assert winner is not None
    assert (winner.created, loser.created) == (True, False)
    assert loser.ring == winner.ring
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_failed_save_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_or_create(tmp_path, NOW)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeysError, match="No space left on device"):
        save(loaded.path, loaded.ring.rotate("kek", NOW))
    monkeypatch.undo()
    assert load(loaded.path) == loaded.ring
    assert list(tmp_path.iterdir()) == [loaded.path]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602, 0o610, 0o644, 0o777])
def test_a_file_that_others_can_reach_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    path = load_or_create(tmp_path, NOW).path
    path.chmod(mode)
    with pytest.raises(KeysError, match=f"chmod 600 {path}$"):
        load_or_create(tmp_path, NOW)
    path.chmod(0o600)
    assert load(path)


def test_a_file_of_another_user_is_refused_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = load_or_create(tmp_path, NOW).path
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(
        KeysError, match=f"belongs to another user; mend it with: chown {path.stat().st_uid + 1} {path}$"
    ):
        load(path)


def test_a_link_a_directory_and_a_pipe_are_no_key_files(tmp_path: Path) -> None:
    real = load_or_create(tmp_path / "real", NOW).path
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "directory").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, said in {"link": "is a link", "directory": "is not a file", "pipe": "is not a file"}.items():
        with pytest.raises(KeysError, match=f"^{tmp_path / name} {said}[^\n]*$"):
            load(tmp_path / name)


def test_a_missing_file_is_nothing_unusual(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "keys.json")


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysError, match="Not a directory"):
        load_or_create(tmp_path / "file" / "data", NOW)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        b"\xff\xfe",
        json.dumps({"version": 2, "keys": []}),
        json.dumps({"keys": []}),
        json.dumps({"version": 1, "keys": [], "more": 1}),
        json.dumps({"version": 1, "keys": [stored(kind="other")]}),
        json.dumps({"version": 1, "keys": [stored(more=1)]}),
        json.dumps({"version": 1, "keys": [stored(secret="SECRET")]}),
        json.dumps({"version": 1, "keys": [stored(secret="U0VDUkVU")]}),
        json.dumps({"version": 1, "keys": [stored(secret=5)]}),
        json.dumps({"version": 1, "keys": [stored(), stored()]}),
        json.dumps({"version": 1, "keys": [stored(), stored(id="kek-2")]}),
        json.dumps({"version": 1, "keys": []}) + " " * 2_000_000,
        '{"version": 1, "keys": [' + " " * 2_000_000,
    ],
)
def test_a_file_that_is_no_key_file_is_said_in_one_line_without_its_content(
    tmp_path: Path, content: str | bytes
) -> None:
    path = write(tmp_path / "keys.json", content)
    with pytest.raises(KeysError) as caught:
        load(path)
    said = str(caught.value)
    assert str(path) in said
    assert not any(part in said for part in ("\n", "SECRET", "U0VDUkVU", "AAAA"))
    # The traceback of a cause could quote the content.
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps({"version": 1, "keys": [stored()]}))
    assert load(path) == Keyring((Key("kek-1", "kek", NOW, True, Secret(bytes(32))),))
    save(path, load(path))
    assert json.loads(path.read_text()) == {"version": 1, "keys": [stored()]}


# Kinds ------------------------------------------------------------------------------------------------------------


def test_a_file_of_an_older_version_gets_the_kinds_that_it_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps({"version": 1, "keys": [stored()]}))
    first = load_or_create(tmp_path, NOW + 1)
    assert (first.created, first.added) == (False, ("transport", "signing", "digest"))
    assert first.ring.keys[0] == Key("kek-1", "kek", NOW, True, Secret(bytes(32)))
    assert [(key.kind, key.created, key.current) for key in first.ring.keys[1:]] == [
        (kind, NOW + 1, True) for kind in first.added
    ]
    assert load(path) == first.ring
    again = load_or_create(tmp_path, NOW + 2)
    assert (again.ring, again.created, again.added) == (first.ring, False, ())


def test_servers_that_complete_a_file_at_once_end_up_with_the_same_keys(tmp_path: Path) -> None:
    write(tmp_path / "keys.json", json.dumps({"version": 1, "keys": [stored()]}))
    together = threading.Barrier(4, timeout=30)

    def start(_: int) -> Loaded:
        together.wait()
        return load_or_create(tmp_path, NOW)

    with ThreadPoolExecutor(4) as threads:
        loaded = list(threads.map(start, range(4)))
    assert all(each.ring == loaded[0].ring for each in loaded)
    assert sorted(len(each.added) for each in loaded) == [0, 0, 0, 3]


def test_the_public_halves_are_those_of_the_keys() -> None:
    ring = Keyring().completed(NOW).rotate("transport", NOW + 1).rotate("signing", NOW + 1)
    old, new = ring.public("transport")
    assert (old.current, new.current) == (False, True)
    private = ring.current("transport")
    assert new.id == private.id
    assert (
        SealedBox(PrivateKey(private.secret.reveal())).decrypt(SealedBox(PublicKey(new.octets)).encrypt(b"a")) == b"a"
    )
    _, verify = ring.public("signing")
    signed = SigningKey(ring.current("signing").secret.reveal()).sign(b"a")
    assert VerifyKey(verify.octets).verify(signed) == b"a"
    for public in (old, new, verify):
        assert all(public.octets != key.secret.reveal() for key in ring.keys)


def test_a_key_is_replaced_when_the_next_of_its_kind_is_made() -> None:
    ring = Keyring().completed(NOW).rotate("kek", NOW + 1).rotate("signing", NOW + 2).rotate("kek", NOW + 3)
    assert [ring.replaced_at(key) for key in ring.of("kek")] == [NOW + 1, NOW + 3, 0]
    assert [ring.replaced_at(key) for key in ring.of("digest")] == [0]


# Changing the file ------------------------------------------------------------------------------------------------


def test_changes_of_several_processes_come_one_after_the_other(tmp_path: Path) -> None:
    path = load_or_create(tmp_path, NOW).path
    together = threading.Barrier(8, timeout=30)

    def rotate(index: int) -> None:
        together.wait()
        change(path, lambda ring: ring.rotate("kek", NOW + index))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rotate, range(8)))
    assert len(load(path).of("kek")) == 9
    assert list(tmp_path.iterdir()) == [path]


def test_a_change_that_fails_or_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    loaded = load_or_create(tmp_path, NOW)
    before = loaded.path.stat()
    with pytest.raises(KeysError, match="there is no key"):
        change(loaded.path, lambda ring: ring.retire("kek-none"))
    assert change(loaded.path, lambda ring: ring) == loaded.ring
    assert loaded.path.stat() == before
    with pytest.raises(FileNotFoundError):
        change(tmp_path / "none.json", lambda ring: ring)


# The file under a running server ----------------------------------------------------------------------------------


def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what fills with every file that is opened for reading keys."""
    paths: list[object] = []
    read = files.read

    def counted(path: Path) -> Secret[bytes]:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(files, "read", counted)
    return paths


def test_a_changed_file_is_taken_up_and_an_unchanged_one_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    reads = opened(monkeypatch)
    assert not held.refresh()
    assert reads == []
    newer = change(held.path, lambda ring: ring.rotate("kek", NOW + 1))
    reads.clear()
    assert held.current("kek") != newer.current("kek")
    assert held.refresh()
    assert held.ring == newer
    assert held.current("kek") == newer.current("kek")
    assert not held.refresh()
    assert len(reads) == 1
    os.utime(held.path)  # touched, with the same keys in it
    assert not held.refresh()


def test_an_unknown_id_is_looked_for_in_a_changed_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    newer = change(held.path, lambda ring: ring.rotate("kek", NOW + 1))
    assert held.get(newer.current("kek").id) == newer.current("kek")
    assert held.current("kek") == newer.current("kek")
    assert held.refresh()  # whoever watches hears of it nevertheless, once
    assert not held.refresh()
    reads = opened(monkeypatch)
    for stranger in range(100):
        assert held.get(f"kek-{stranger}") is None
    assert reads == []


def test_a_file_that_cannot_be_taken_leaves_the_keys_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_or_create(tmp_path, NOW)
    held = KeyFile(loaded.path)
    newer = loaded.ring.rotate("kek", NOW + 1)

    save(held.path, newer)
    held.path.chmod(0o644)
    reads = opened(monkeypatch)
    for _ in range(3):
        assert held.get(newer.current("kek").id) is None
    assert len(reads) == 1
    for _ in range(2):
        with pytest.raises(KeysError, match="chmod 600"):
            held.refresh()
    assert held.ring == loaded.ring

    held.path.unlink()
    with pytest.raises(KeysError, match=r"keys.json is gone; bring back a copy"):
        held.refresh()

    save(held.path, Keyring().rotate("kek", NOW))
    with pytest.raises(KeysError, match="no current key of the kind transport"):
        held.refresh()

    save(held.path, newer)
    assert held.refresh()
    assert held.ring == newer


def _strangers(ring: Keyring) -> Keyring:
    return Keyring().completed(NOW)


def _renamed(ring: Keyring) -> Keyring:
    """Return other keys of the same names."""
    others = zip(Keyring().completed(NOW).keys, ring.keys, strict=True)
    return Keyring(tuple(msgspec.structs.replace(other, id=key.id) for other, key in others))


def _older(ring: Keyring) -> Keyring:
    return Keyring(tuple(key for key in ring.keys if not (key.kind == "kek" and key.current))).rotate("kek", NOW + 9)


@pytest.mark.parametrize("other", [_strangers, _renamed, _older])
def test_a_file_without_a_key_in_force_is_not_taken_up(tmp_path: Path, other: Callable[[Keyring], Keyring]) -> None:
    """The server may be the last that has it."""
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    ring = held.ring
    save(held.path, other(ring))
    kek = ring.current("kek").id
    assert held.get("kek-unknown") is None
    for _ in range(2):
        with pytest.raises(KeysError, match=rf"keys.json lacks .*{kek}.*, in use here: bring back the file that has"):
            held.refresh()
    assert held.ring == ring
    save(held.path, ring)
    assert not held.refresh()


def test_a_file_without_a_key_in_force_is_taken_up_where_the_servers_have_left_that(tmp_path: Path) -> None:
    held = KeyFile(load_or_create(tmp_path, NOW).path)
    old = held.current("kek").id
    newer = held.ring.rotate("kek", NOW + 1).retire(old)
    save(held.path, newer)
    assert held.get(newer.current("kek").id) is None
    assert held.refresh(lambda ring: ring == newer)
    assert held.ring == newer
