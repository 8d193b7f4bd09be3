"""Heap of a process: memory that was freed stays with it.

glibc gives back to the kernel what is freed at the top of its heap, and takes it again when it is
needed, with every page filled with zeros anew. A step of training and a clip of a corpus take and
free the same sizes again and again: that was a quarter of the CPU time of a build, and a tenth of
the quantizer's training (docs/operations.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping
from contextlib import suppress

KEPT_BYTES = 1 << 30
"""The top of the heap is kept up to this size."""
LARGE_BYTES = 32 << 20
"""Larger pieces come from the kernel and go back to it, as glibc has it: in the heap, small ones
would be put where they were, and each would need a place of its own."""
_TRIM, _LARGE = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory(environment: MutableMapping[str, str]) -> None:
    """Keep freed memory in this process and in those that it starts, unless the user has chosen.

    Nothing happens where the C library is not glibc.

    Args:
        environment: variables of the process, `os.environ`; changed.
    """
    if any(environment.get(name) for name in (_TRIM, _LARGE)):
        return
    if set_thresholds():
        environment[_TRIM], environment[_LARGE] = str(KEPT_BYTES), str(LARGE_BYTES)


def set_thresholds() -> bool:
    """Let the heap of this process keep memory.

    Returns:
        False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return False
    sizes = {_M_MMAP_THRESHOLD: LARGE_BYTES, _M_TRIM_THRESHOLD: KEPT_BYTES}
    return all(mallopt(option, size) for option, size in sizes.items())


def give_back_memory() -> None:
    """Give back what is free, so that memory that is measured from here on is that in use."""
    with suppress(AttributeError, OSError, TypeError):  # as above
        ctypes.CDLL(None).malloc_trim(0)
