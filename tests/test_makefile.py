"""`make upgrade` with programs that stand for uv, the linters, the suite and the quickstart."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT

OLD, NEW = "torch==1.0\n", "torch==2.0\n"
PROGRAMS = ("ruff", "lint-imports", "mypy", "python", "gsv2")
UV = """#!/bin/sh
echo "uv $1 $2" >> calls
[ "$FAILS" != "uv $2" ] || exit 3
case "$1 $2" in
  "venv "*) mkdir -p .venv-upgrade/bin ;;
  "pip compile") while [ "$1" != --output-file ]; do shift; done; printf 'torch==2.0\\n' > "$2" ;;
  "pip install") cp .venv/bin/[!u]* .venv-upgrade/bin ;;
esac
"""
OTHER = """#!/bin/sh
echo "$0 $1" >> calls
[ "$FAILS" != "${0##*/}" ] || exit 3
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the Makefile, an old lock and an environment of stand-ins."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "constraints.txt").write_text(OLD)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "setup.py").touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("uv", *PROGRAMS):
        (programs / name).write_text(UV if name == "uv" else OTHER)
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def upgrade(checkout: Path, fails: str = "", *options: str) -> int:
    own = {key: value for key, value in os.environ.items() if "MAKE" not in key}
    command = ["make", "--silent", *options, "upgrade"]
    done = subprocess.run(
        command, cwd=checkout, env={**own, "FAILS": fails}, capture_output=True, check=False
    )
    return done.returncode


def test_an_upgrade_checks_the_new_versions_and_then_writes_the_lock(checkout: Path) -> None:
    assert upgrade(checkout) == 0
    assert (checkout / "constraints.txt").read_text() == NEW
    calls = (checkout / "calls").read_text().splitlines()
    own = [call.removeprefix(".venv-upgrade/bin/") for call in calls if not call.startswith("uv")]
    assert own == [
        "ruff check", "ruff format", "lint-imports ", "mypy ", "python -m", "python -m",
        "gsv2 quickstart",
    ]  # fmt: skip
    assert not list(checkout.glob("constraints.txt.*"))


@pytest.mark.parametrize("fails", ["uv compile", "uv install", *PROGRAMS])
def test_whatever_fails_leaves_the_lock_as_it_was(checkout: Path, fails: str) -> None:
    assert upgrade(checkout, fails) != 0
    assert (checkout / "constraints.txt").read_text() == OLD


@pytest.mark.parametrize("fails", ["uv compile", "ruff", "python"])
def test_so_it_does_where_make_is_told_to_ignore_errors(checkout: Path, fails: str) -> None:
    upgrade(checkout, fails, "--ignore-errors")
    assert (checkout / "constraints.txt").read_text() == OLD


def test_a_lock_that_is_newer_than_the_environment_is_not_installed_into_it(
    checkout: Path,
) -> None:
    """As a checkout of another branch makes it meanwhile: the old versions would be tested."""
    slow = (checkout / ".venv" / "bin" / "ruff").read_text() + "touch constraints.txt\n"
    (checkout / ".venv" / "bin" / "ruff").write_text(slow)
    assert upgrade(checkout) == 0
    calls = (checkout / "calls").read_text()
    assert calls.count("uv pip install") == 1
