"""Columns of an index file: their types, what may be null, and which numbers can be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.data.schema import SAMPLE_RATE
from gsv2.data.tars import ALIGNED_SCHEMA, FOREIGN_SCHEMA

_TYPES = {field.name: field.type for schema in (ALIGNED_SCHEMA, FOREIGN_SCHEMA) for field in schema}
REQUIRED = frozenset(
    "key block speaker language duration_sec num_samples text_bytes num_code_frames".split()
)
"""Columns that hold a value for every clip; `num_code_frames` only where there are codes."""
_KINDS = (
    ("text", lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind)),
    ("whole numbers", pa.types.is_integer),
    ("numbers", pa.types.is_floating),
)
_LENGTH_TOLERANCE_SEC = 0.01


def type_fault(name: str, found: pa.DataType) -> str | None:
    """Return what is wrong with the type of a column; None = nothing, or no known column."""
    if name not in _TYPES:
        return None
    for kind, is_kind in _KINDS:
        if is_kind(_TYPES[name]) and not is_kind(found):
            return f"column {name} must hold {kind}, but holds {found}"
    return None


def column_fault(columns: Mapping[str, pa.Array], num_bytes: Mapping[str, int]) -> str | None:
    """Return the first thing that is wrong with columns of one index file.

    Args:
        columns: name -> [n] array; any of those of an index.
        num_bytes: member -> size of the tar that it lies in.

    Returns:
        Column, value and row (with its key, if that is among the columns); None = all is well.
    """
    for name, array in columns.items():
        if fault := type_fault(name, array.type):
            return fault
        if name in REQUIRED - {"num_code_frames"} and array.null_count:
            return f"column {name} is null in {_row(columns, array.is_null())}"
        if pa.types.is_integer(array.type) or name == "duration_sec":
            if fault := _amount_fault(name, array, columns):
                return fault
    return _length_fault(columns) or _place_fault(columns, num_bytes)


def _amount_fault(name: str, array: pa.Array, columns: Mapping[str, pa.Array]) -> str | None:
    """Return which number is negative, NaN or infinite."""
    good = pc.greater_equal(array, 0)
    if pa.types.is_floating(array.type):
        good = pc.and_(good, pc.is_finite(array))
    bad = pc.invert(good.fill_null(True))
    if not pc.any(bad).as_py():
        return None
    row = int(np.flatnonzero(bad.to_numpy(zero_copy_only=False))[0])
    return (
        f"column {name} must be a number from 0, but is {array[row].as_py()} in "
        f"{_row(columns, bad)}"
    )


def _length_fault(columns: Mapping[str, pa.Array]) -> str | None:
    """Return which clip has more or fewer samples than its seconds make."""
    if not {"duration_sec", "num_samples"} <= columns.keys():
        return None
    seconds = columns["duration_sec"].to_numpy(zero_copy_only=False)
    samples = columns["num_samples"].to_numpy(zero_copy_only=False)
    bad = np.abs(seconds - samples / SAMPLE_RATE) > _LENGTH_TOLERANCE_SEC
    if not bad.any():
        return None
    row = int(np.flatnonzero(bad)[0])
    return (
        f"column num_samples must fit duration_sec ({seconds[row]:g} s at {SAMPLE_RATE} Hz), but "
        f"is {samples[row]} in {_row(columns, pa.array(bad))}"
    )


def _place_fault(columns: Mapping[str, pa.Array], num_bytes: Mapping[str, int]) -> str | None:
    """Return which member ends behind the end of its tar."""
    for member, size in num_bytes.items():
        offset, length = columns.get(f"{member}_offset"), columns.get(f"{member}_length")
        for name, array in ((f"{member}_offset", offset), (f"{member}_length", length)):
            if array is None:
                continue
            bad = pc.greater(array, size).fill_null(False)
            if pc.any(bad).as_py():
                return (
                    f"column {name} is beyond the {size} bytes of the tar in {_row(columns, bad)}"
                )
        if offset is not None and length is not None:
            ends = pc.add(offset.cast(pa.int64()), length.cast(pa.int64()))
            bad = pc.greater(ends, size).fill_null(False)
            if pc.any(bad).as_py():
                return (
                    f"columns {member}_offset + {member}_length are beyond the {size} bytes of "
                    f"the tar in {_row(columns, bad)}"
                )
    return None


def _row(columns: Mapping[str, pa.Array], bad: pa.Array) -> str:
    """Return the first row that is bad, with its key."""
    row = int(np.flatnonzero(bad.to_numpy(zero_copy_only=False))[0])
    key = columns["key"][row].as_py() if "key" in columns else None
    return f"row {row}" if key is None else f"row {row} (clip {key})"
