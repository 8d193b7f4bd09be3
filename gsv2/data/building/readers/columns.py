"""Columns of tables by the names that people give them: what is known of a recording."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gsv2.data.corpus.manifest import CorpusError

NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": (
        "audio", "audio_filepath", "audio_file", "audio_path", "file_name", "filename", "file",
        "path", "wav", "wav_path", "wav_filename", "wave", "filepath", "file_path", "clip",
    ),
    "text": (
        "text", "sentence", "transcript", "transcription", "normalized_text", "text_normalized",
        "normalized_transcript", "caption", "utterance",
    ),
    "language": ("language", "lang", "locale", "language_id", "lang_id"),
    "speaker": (
        "speaker", "speaker_id", "spk", "spk_id", "speaker_name", "client_id", "reader",
        "speaker_label",
    ),
    "start": ("offset", "start", "start_time", "begin", "start_sec", "segment_start"),
    "duration": ("duration", "duration_sec"),
    "end": ("end", "end_time", "end_sec", "segment_end"),
    "key": ("key", "id", "utt_id", "utterance_id", "utt", "segment_id", "clip_id"),
    "source": ("source", "dataset", "corpus"),
    "licence": ("licence", "license"),
}  # fmt: skip
"""What is known of a recording -> names of its column, the first that a table has counts."""
_ALL = {name for names in NAMES.values() for name in names}


def names_columns(header: Sequence[str]) -> bool:
    """Tell whether a row names columns: two of its fields are known names."""
    return len({name.strip().lower() for name in header} & _ALL) >= 2


def names_field(column: str) -> bool:
    """Tell whether a column has one of the known names."""
    return column.strip().lower() in _ALL


def find_columns(
    header: Sequence[str], needed: Collection[str], given: Mapping[str, str], place: Path
) -> dict[str, str]:
    """Return what is known of a recording -> column of a table.

    Args:
        header: names of the columns.
        needed: what cannot be left out.
        given: what the user says.
        place: the table, for messages.

    Raises:
        CorpusError: a column that is needed or given is not there, or one stands twice.
    """
    by_name = {name.strip().lower(): name for name in reversed(header)}
    if twice := [name for name in header if header.count(name) > 1 and name]:
        raise CorpusError(f"{place} has column {twice[0]} twice")
    found: dict[str, str] = {}
    for field, names in NAMES.items():
        if given.get(field) == "":
            continue
        if field in given:
            found[field] = _given(header, given[field], field, place)
        elif matches := [by_name[name] for name in names if name in by_name]:
            found[field] = matches[0]
    for field in needed:
        if field not in found:
            raise CorpusError(
                f"{place} has no column of the {field}, only {', '.join(header)}; name it with "
                f"--column {field}=NAME"
            )
    return found


def _given(header: Sequence[str], name: str, field: str, place: Path) -> str:
    if name in header:
        return name
    if name.isdigit() and 1 <= int(name) <= len(header):
        return header[int(name) - 1]
    raise CorpusError(f"{place} has no column {name} ({field}), only {', '.join(header)}")
