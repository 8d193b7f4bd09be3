"""Loops that numba compiles, and keeps for the processes to come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numpy as np

def walk(values):
    total = 0
    for value in values:
        total += value
    return total

def by_numpy(values):
    return values.sum()
"""
PROGRAM = """
import numba, numpy as np, loops
from gsv2.nn.compiled_loops import compile_loops
if {is_full}:
    def refuse(*_):
        raise OSError(28, "No space left on device")
    numba.core.caching.IndexDataCacheFile.save = refuse
found = compile_loops(loops.walk, loops.by_numpy, "(int64[::1],)")
stats = getattr(found, "stats", None)
print(int(found(np.arange(5))), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "loops.py").write_text(MODULE)
    return tmp_path


def run(folder: Path, *, is_full: bool = False) -> list[str]:
    """Compile and run in a process of its own; return the sum, and hits and misses of the cache."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    program = PROGRAM.replace("{is_full}", str(is_full))
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=environ, text=True).split()


def test_the_second_process_finds_what_the_first_has_compiled(folder: Path) -> None:
    assert run(folder) == ["10", "0", "1"]
    assert run(folder) == ["10", "1", "0"]


def test_a_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    assert run(folder, is_full=True) == ["10", "0", "1"]
    assert not list(folder.rglob("*.nbi"))
