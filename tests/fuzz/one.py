"""One target in a process of its own: `python -m tests.fuzz.one TARGET [libFuzzer's options and directories]`."""

import shlex
import sys

import atheris

with atheris.instrument_imports(include=["smpp"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run libFuzzer, which ends the process."""
    name = sys.argv[1]
    # libFuzzer starts itself again to merge, by what it believes is its own name.
    itself = f"{shlex.quote(sys.executable)} -m tests.fuzz.one {name}"
    atheris.Setup([itself, *sys.argv[2:]], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
