"""Another revision of gsv2 in a temporary worktree, to be measured beside this checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""This checkout."""


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """Check a revision out beside this checkout, and take it away again.

    Raises:
        ValueError: the history of this checkout does not have it.
    """
    git = ("git", "-C", str(ROOT), "worktree")
    add = [*git, "add", "--quiet", "--detach", str(folder), revision]
    made = subprocess.run(add, capture_output=True, text=True, check=False)
    if made.returncode:
        raise ValueError(f"--against {revision} cannot be checked out: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)
