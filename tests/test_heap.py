"""Freed memory stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from gsv2.heap import KEPT_BYTES, LARGE_BYTES, keep_freed_memory

_FAULTS = """
import os, resource, sys
import numpy as np
from gsv2.heap import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory(os.environ)
def use():
    return [np.ones(1 << 21) for _ in range(6)]  # 96 MiB in pieces: more than glibc keeps by itself
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

# Only glibc has thresholds: elsewhere the call does nothing, which the last test sees.
needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")


def output(program: str, *arguments: str) -> str:
    """Return what a program prints in an environment that says nothing of memory."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC_" not in name}
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout


def page_faults(how: str) -> int:
    return int(output(_FAULTS, how))


@needs_glibc
def test_pages_are_filled_once_and_not_for_every_array() -> None:
    assert page_faults("kept") < page_faults("given back") / 10


@needs_glibc
def test_processes_that_are_started_keep_theirs() -> None:
    call = "import os, gsv2.heap; gsv2.heap.keep_freed_memory(os.environ); os.system('env')"
    named = dict(line.split("=", 1) for line in output(call).splitlines() if "=" in line)
    assert named["MALLOC_TRIM_THRESHOLD_"] == str(KEPT_BYTES)
    assert named["MALLOC_MMAP_THRESHOLD_"] == str(LARGE_BYTES)


def test_what_the_user_chose_stays() -> None:
    environment = {"MALLOC_TRIM_THRESHOLD_": "1"}
    keep_freed_memory(environment)
    assert environment == {"MALLOC_TRIM_THRESHOLD_": "1"}
