"""Programs for development that find only what `make run` installs end with one line that says the mend."""

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITHOUT = """\
import sys


class Without:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Without())
import importlib.util

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {names} else found(name, package)
"""
"""A sitecustomize with which these modules are not there."""


def of_development() -> set[str]:
    """Return the modules of the packages that only `make .venv/.dev` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = {name.lower() for name in project["optional-dependencies"]["dev"]}
    found = packages_distributions()
    return {module for module, of in found.items() if any(package.lower() in packages for package in of)}


def run_without(names: set[str], program: str, place: Path) -> subprocess.CompletedProcess[str]:
    (place / "sitecustomize.py").write_text(WITHOUT.format(names=sorted(names)), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", program, "--help"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{place}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "package", "needed"),
    [
        ("benchmarks", "benchmarks", {"psutil", "simpy"}),
        ("benchmarks.soak", "benchmarks", {"psutil", "simpy"}),
        ("tests.chaos", "tests.chaos", {"pytest"}),
    ],
)
def test_what_is_missing_is_said_with_the_mend(program: str, package: str, needed: set[str], tmp_path: Path) -> None:
    all_of_it = of_development()
    assert {"psutil", "pytest", "hypothesis"} <= all_of_it
    without = run_without(all_of_it, program, tmp_path)
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr == (
        f"{package}: {', '.join(sorted(needed))} is not installed; "
        "install what tests and measurements need with: make .venv/.dev\n"
    )
    # And nothing else is missed than what it says.
    enough = run_without(all_of_it - needed - {"_pytest", "py"}, program, tmp_path)
    assert enough.returncode == 0, enough.stderr
    assert f"python -m {program}" in enough.stdout
