"""Recordings in a table, CSV or TSV, whose first row names the columns."""

from __future__ import annotations

import re
from pathlib import Path

from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.columns import find_columns, names_columns, names_field
from gsv2.data.building.readers.fields import TIMES, recording_of
from gsv2.data.building.readers.folders import NamedFiles
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions
from gsv2.data.building.readers.table_rows import Header, Row, read_header, table_rows
from gsv2.data.corpus.manifest import CorpusError

_SUFFIXES = (".csv", ".tsv", ".txt", ".psv")
_NEEDED = ("audio", "text")
_FOLDERS = ("", "wavs", "clips", "audio", "wav")
_SEGMENT = re.compile(
    r"((segment|seg|clip|utt|utterance|audio|speech|sentence|word|time)_?)?"
    r"(start|begin|onset|offset|end|stop)"
    r"_?(ms|msec|millis|milliseconds|s|secs?|seconds|times?|timestamp|samples?|frames?)?"
    r"_?(ms|s|secs?|seconds)?",
    re.IGNORECASE,
)
"""Names of columns that say which part of a recording is meant."""


class TableReader:
    """Tables with named columns, however they call them."""

    name = "table"
    layout = "CSV or TSV whose first row names columns: audio, text; speaker, language, start, end"
    precedes: tuple[str, ...] = ("pairs",)

    def recognise(self, look: Glance) -> str | None:
        """Return the only table with columns of audio and text."""
        if len(tables := _tables(look)) != 1:
            return None
        path, header = tables[0]
        found = find_columns(header.names, (), {}, path)
        used = ", ".join(f"{field} = {name}" for field, name in found.items())
        unused = [name for name in header.names if name not in found.values()]
        rest = f"; not used: {', '.join(unused)}" if unused else ""
        return f"{path.name} has columns {used}{rest}"

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the rows of a table, and the files of its folder that it does not name."""
        path = source if source.is_file() else _only_table(source)
        header = read_header(path, options.encoding)
        if header is None:
            raise CorpusError(
                f"{path} must be a table of two columns or more with names of columns"
            )
        named = NamedFiles()
        yield from _rows(path, header, named, options)
        if source.is_dir():
            yield from named.others(source, [path])


def _rows(path: Path, header: Header, named: NamedFiles, options: ReadingOptions) -> Listed:
    columns = find_columns(header.names, _NEEDED, options.columns, path)
    for name in sorted(set(header.names) - set(columns.values()) - set(options.ignore)):
        if _SEGMENT.fullmatch(name.strip()) and not names_field(name):
            raise CorpusError(
                f"{path}: column {name} seems to say which part of a recording is meant, and is "
                "not understood (start, end and duration are, in seconds); name it with "
                "--ignore-field if whole recordings are meant"
            )
    if "start" not in columns:  # lengths of whole files
        columns = {field: name for field, name in columns.items() if field not in TIMES}
    audio = AudioPaths(path.parent, options.audio_dir, _FOLDERS)
    for row in table_rows(path, header, options.encoding):
        if isinstance(row, RejectedFile):
            yield row
            continue
        try:
            yield _recording(row, columns, audio, named, path.stem, options)
        except LeftOutError as error:
            yield left_out(row.place, error.reason, error.value)


def _recording(
    row: Row,
    columns: dict[str, str],
    audio: AudioPaths,
    named: NamedFiles,
    source: str,
    options: ReadingOptions,
) -> Recording:
    fields = {field: row.values[name] for field, name in columns.items()}
    name = fields["audio"].strip()
    if not name:
        raise LeftOutError("row names no audio", f"column {columns['audio']} is empty")
    path = named.add(audio.find(name))
    return recording_of(fields, path, name, row.place, options, source=source)


def _tables(look: Glance) -> list[tuple[Path, Header]]:
    """Return the tables with columns of audio and text."""
    found = []
    for path in look.tables(*_SUFFIXES):
        header = read_header(path)
        if header is not None and names_columns(header.names):
            columns = find_columns(header.names, (), {}, path)
            if all(field in columns for field in _NEEDED):
                found.append((path, header))
    return found


def _only_table(source: Path) -> Path:
    tables = [path for path, _ in _tables(Glance(source))]
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables) or "none"
        raise CorpusError(f"{source} must hold one table with audio and text, but has {names}")
    return tables[0]
