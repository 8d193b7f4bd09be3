"""Check of an index file by itself, and against its line of corpus.json."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gsv2.data.corpus.code_format import far_from_audio
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index_columns import (
    ALIGN_FIELDS,
    CLIP_SCHEMA,
    CODES_SCHEMA,
    LEVEL_FIELDS,
    OPTIONAL_FIELD,
    REQUIRED,
    type_fault,
)
from gsv2.data.corpus.manifest import ShardEntry
from gsv2.data.verify.findings import Findings


def read_index(index: Path, kind: str, findings: Findings) -> pa.Table | None:
    """Read an index file; None if that is not possible, which is added to `findings`."""
    if not index.is_file():
        findings.add("index is missing", str(index))
        return None
    schema = CLIP_SCHEMA if kind == "audio" else CODES_SCHEMA
    try:
        table = pq.read_table(index)
        table.validate(full=True)  # also that texts are UTF-8
        if missing := set(schema.names) - set(table.column_names):
            findings.add("index lacks columns", ", ".join(sorted(missing)))
            return None
        for field in (OPTIONAL_FIELD, *LEVEL_FIELDS, *ALIGN_FIELDS):
            if field.name in table.column_names:
                schema = schema.append(field)
        faults = [type_fault(name, table.schema.field(name).type) for name in schema.names]
        if wrong := [fault for fault in faults if fault]:
            findings.add("index has columns of the wrong type", "; ".join(wrong))
            return None
        return _filled(table.select(schema.names).cast(schema), kind, findings)
    except (pa.ArrowException, OSError) as error:
        findings.add("index cannot be read", " ".join(str(error).split())[:200])
        return None


def _filled(table: pa.Table, kind: str, findings: Findings) -> pa.Table:
    """Return an index without nulls where a text must be; each null is added to `findings`."""
    keys = table["key"]
    for name in table.column_names:
        needed = name in REQUIRED if kind == "audio" else name in ("key", "num_code_frames")
        if not needed or (kind == "audio" and name == "num_code_frames"):
            continue
        for row in np.flatnonzero(table[name].is_null().to_numpy()).tolist():
            findings.add("null in the index", f"{keys[row].as_py() or f'row {row}'}: {name}")
        if pa.types.is_string(table.schema.field(name).type):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(name), table[name].fill_null(""))
    return table


def check_rows(table: pa.Table, entry: ShardEntry, kind: str, findings: Findings) -> None:
    """Check what the index says by itself, and against corpus.json."""
    findings.expect("clips differ from corpus.json", table.num_rows, entry.num_clips)
    keys = table["key"].to_pylist()
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            findings.add("key twice in the index", key)
        seen.add(key)
    if kind == "codes":
        return
    seconds = table["duration_sec"].fill_null(math.nan).to_numpy()
    samples = table["num_samples"].fill_null(-1).to_numpy()
    with np.errstate(invalid="ignore"):
        odd = ~((seconds > 0) & (np.abs(seconds * SAMPLE_RATE - samples) <= 1))
    _check_text_bytes(table, findings)
    has_transcript = table["json_offset"].is_valid().to_numpy()
    if OPTIONAL_FIELD.name in table.column_names:
        has_transcript |= table[OPTIONAL_FIELD.name].is_valid().to_numpy()
    odd |= table["audio_offset"].is_null().to_numpy() | ~has_transcript
    for row in np.flatnonzero(odd).tolist():
        findings.add("index row lacks audio, transcript or duration", keys[row])
    check_code_lengths(table, seconds, None, findings)
    total = float(seconds.sum())
    findings.expect("seconds differ from corpus.json", total, entry.seconds)


def _check_text_bytes(table: pa.Table, findings: Findings) -> None:
    """Compare the texts that an index holds with the length that it says."""
    if OPTIONAL_FIELD.name not in table.column_names:
        return
    found = pc.binary_length(table[OPTIONAL_FIELD.name]).to_pylist()
    said = table["text_bytes"].to_pylist()
    for row, (length, number) in enumerate(zip(found, said, strict=True)):
        if length is not None and length != number:
            example = f"{table['key'][row].as_py()}: text_bytes is {number}, the text has {length}"
            findings.add("index differs from its own text", example)


def check_code_lengths(
    table: pa.Table, seconds: np.ndarray, rate_hz: float | None, findings: Findings
) -> None:
    """Check that codes are as long as their audio.

    Args:
        table: index with the columns `key` and `num_code_frames`, which is null without codes.
        seconds: [n] of the audio.
        rate_hz: code frames a second; None = not known, that of most clips.
    """
    frames = table["num_code_frames"].fill_null(-1).to_numpy()
    known = np.flatnonzero((frames >= 0) & (seconds > 0))
    frames, seconds = frames[known], seconds[known]
    if rate_hz is None and len(known):
        rate_hz = float(np.median(frames / seconds))
    far = far_from_audio(frames, seconds, rate_hz or 0.0)
    for place in np.flatnonzero(far).tolist():
        said = f"{frames[place]} frames in {seconds[place]:.2f} s at {rate_hz:g} Hz"
        key = table["key"][known[place].item()].as_py()
        findings.add("codes are not as long as their audio", f"{key}: {said}")


def index_totals(table: pa.Table) -> tuple[dict[str, tuple[int, float]], frozenset[str]]:
    """Return language -> clips and seconds, and the speakers, of an index of audio."""
    groups = table.group_by("language").aggregate([("duration_sec", "sum"), ("key", "count")])
    languages = {
        group["language"]: (group["key_count"], group["duration_sec_sum"] or 0.0)
        for group in groups.to_pylist()
    }
    return languages, frozenset(table["speaker"].unique().to_pylist()) - {"", None}
