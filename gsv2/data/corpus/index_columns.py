"""Columns of an index file: names, types, what may be null, and which numbers can be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.data.corpus.format import FORMAT_VERSION, SAMPLE_RATE


def _member_fields(member: str) -> list[pa.Field]:
    return [
        pa.field(f"{member}_offset", pa.int64()),
        pa.field(f"{member}_length", pa.int64()),
        pa.field(f"{member}_crc32", pa.int64()),
    ]


_METADATA = {"gsv2_format_version": str(FORMAT_VERSION)}
CODES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("num_code_frames", pa.int32()),
        *_member_fields("codes"),
        *_member_fields("codes_json"),
    ],
    metadata=_METADATA,
)
"""Columns of the index of a sidecar tar of codes."""
ALIGN_FIELDS = _member_fields("align")
"""More columns of it where the codes were aligned with their texts; null for the clips that could
not be."""
ALIGNED_SCHEMA = pa.schema([*CODES_SCHEMA, *ALIGN_FIELDS], metadata=_METADATA)
TEXTS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("num_text_vectors", pa.int32()),
        *_member_fields("text_vectors"),
    ],
    metadata=_METADATA,
)
"""Columns of the index of a sidecar tar of text vectors."""
CLIP_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("block", pa.int32()),  # number of the speaker block inside the shard
        pa.field("speaker", pa.string()),  # "" when unknown
        pa.field("language", pa.string()),
        pa.field("duration_sec", pa.float64()),
        pa.field("num_samples", pa.int64()),
        pa.field("text_bytes", pa.int32()),
        pa.field("num_code_frames", pa.int32()),  # null without codes
        *_member_fields("audio"),
        *_member_fields("json"),
        *_member_fields("codes"),
    ],
    metadata=_METADATA,
)
"""Columns of the index of a tar of clips. Offsets are of the content, not of the tar header."""
LEVEL_FIELDS = [pa.field("level_lufs", pa.float32()), pa.field("peak", pa.float32())]
"""Columns with the loudness and the largest absolute sample of the audio, both before it is
levelled by a run. Indexes that were made without decoding hold null, older ones lack them."""
AUDIO_SCHEMA = pa.schema([*CLIP_SCHEMA, *LEVEL_FIELDS], metadata=_METADATA)
"""Columns of the index of a tar of clips that `build_shards` writes."""
OPTIONAL_FIELD = pa.field("text", pa.string())
"""A column that only indexes of tars made by others have (`scan.py`): the transcript, where the
reader takes text, language and speaker from the index; null = from the JSON."""
ARCHIVE_SCHEMA = pa.schema([*CLIP_SCHEMA, OPTIONAL_FIELD, *LEVEL_FIELDS], metadata=_METADATA)
"""Columns of the index of a tar that others made; a clip may lack `json`."""
_TYPES = {
    field.name: field.type
    for schema in (ALIGNED_SCHEMA, TEXTS_SCHEMA, ARCHIVE_SCHEMA)
    for field in schema
}
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
