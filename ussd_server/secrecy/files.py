"""Files that hold secrets: read only where nobody else can reach them, replaced whole or not at all."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nacl.utils

from ussd_server.secrecy.secrets import Secret

FILE_MODE: Final = 0o600
MAX_FILE_SIZE: Final = 1024 * 1024
"""Octets; a key takes 150, so more is another file."""


class UnguardedFile(Exception):
    """The file is not ours alone, is no file, or cannot be used. One line: which file, what is wrong, the mend."""


def read(path: Path) -> Secret[bytes]:
    """Return what the file holds. Raises FileNotFoundError, and UnguardedFile where others could read or write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnguardedFile(f"{path} is a link; put the file itself there") from None
        raise unusable(path, error) from None
    try:
        # Of the open file, not of its name: nobody can put another one there in between.
        _check_guarded(path, os.fstat(descriptor))
        return Secret(os.read(descriptor, MAX_FILE_SIZE))
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        os.close(descriptor)


def replace(path: Path, content: Secret[bytes]) -> None:
    """Write the file, or replace it, whole or not at all. Raises UnguardedFile."""
    try:
        _write(path, content, os.replace)
    except OSError as error:
        raise unusable(path, error) from None


def create(path: Path, content: Secret[bytes]) -> None:
    """Write a new file, whole or not at all. Raises FileExistsError where there is one, and UnguardedFile."""
    try:
        _write(path, content, os.link)
    except FileExistsError:
        raise
    except OSError as error:
        raise unusable(path, error) from None


def unusable(path: Path, error: OSError) -> UnguardedFile:
    """Return the error that says why the system does not let us use a file."""
    return UnguardedFile(f"the file {path} cannot be used: {error.strerror or error}")


def _check_guarded(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnguardedFile(f"{path} is not a file")
    if status.st_size > MAX_FILE_SIZE:
        raise UnguardedFile(f"{path} is not a key file: it is larger than {MAX_FILE_SIZE} octets")
    if status.st_uid != os.geteuid():
        raise UnguardedFile(f"{path} belongs to another user; mend it with: chown {os.geteuid()} {path}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UnguardedFile(f"{path} can be read or written by other users; mend it with: chmod 600 {path}")


def _write(path: Path, content: Secret[bytes], publish: Callable[[Path, Path], None]) -> None:
    """Write a complete file under another name, then give it its name: `os.link` only to a new one, or `os.replace`."""
    beside = path.with_name(f".{path.name}.{nacl.utils.random(8).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)  # the umask may have taken the owner's own rights
            file.write(content.reveal())
            file.flush()
            os.fsync(file.fileno())
        publish(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
