"""The corpus: inputs that led a fuzzer where no other led; a file a target, an input a line in hexadecimal."""

from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "corpus"


def read(target: str) -> list[bytes]:
    """Return the inputs that are kept for a target."""
    file = HERE / f"{target}.hex"
    return [bytes.fromhex(line) for line in file.read_text(encoding="ascii").splitlines()] if file.exists() else []


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs, the shortest first, and no others."""
    lines = sorted({one.hex() for one in inputs}, key=lambda line: (len(line), line))
    HERE.mkdir(exist_ok=True)
    (HERE / f"{target}.hex").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def unpack(inputs: Iterable[bytes], directory: Path) -> None:
    """Write inputs as a fuzzer wants them: a file each, named by its SHA-1."""
    directory.mkdir(parents=True, exist_ok=True)
    for one in inputs:
        (directory / sha1(one, usedforsecurity=False).hexdigest()).write_bytes(one)


def pack(directory: Path) -> list[bytes]:
    """Return the inputs of a fuzzer's directory."""
    return [file.read_bytes() for file in sorted(directory.iterdir())]
