"""Tars in a corpus folder that cannot be read by offset, because they are compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PACKED = frozenset(".gz .bz2 .xz .zst .zstd .lz4 .lzma .lz .z .br".split())
"""Suffixes behind `.tar`."""
_PACKED_TARS = frozenset(".tgz .tbz .tbz2 .txz .tzst .tlz .taz".split())
ADVICE = "compressed tars cannot be read by offset: gunzip them"
"""What becomes of such a tar, and what to do."""


def compressed_tars(root: Path) -> Iterator[Path]:
    """Yield the compressed tars below a folder, in order."""
    for path in sorted(root.rglob("*")):
        if _is_packed(path.name.lower()) and not path.name.startswith(".") and path.is_file():
            yield path


def _is_packed(name: str) -> bool:
    stem, dot, end = name.rpartition(".")
    return dot + end in _PACKED_TARS or (dot + end in _PACKED and stem.endswith(".tar"))
