"""Recordings in Parquet with a column of audio, as Hugging Face's datasets are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.columns import NAMES, find_columns
from gsv2.data.building.readers.fields import TIMES, recording_of
from gsv2.data.building.readers.folders import left_alone, walk_folders
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions
from gsv2.data.corpus.manifest import CorpusError

_SUFFIX = ".parquet"
_ROWS = 1024  # of a batch without audio
_AUDIO_ROWS = 8  # of a batch of audio


@dataclass(frozen=True)
class ParquetCell:
    """Audio that is a cell of a table."""

    path: Path
    group: int
    """Row group."""
    row: int
    """Row in the group."""
    column: str
    audio_dir: Path | None = None

    def read(self) -> bytes:
        """Return the content of the cell, or of the file that it names."""
        cell = _cursor(self.path, self.path.stat().st_mtime_ns, self.group, self.column).get(
            self.row
        )
        content, name = (
            (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        )
        if isinstance(content, bytes) and content:
            return content
        if not name:
            raise LeftOutError("audio is missing", f"column {self.column} is empty")
        file = AudioPaths(self.path.parent, self.audio_dir).find(str(name))
        if not file.is_file():
            raise LeftOutError("audio file does not exist", str(file))
        return file.read_bytes()


class _Cursor:
    """Cells of one row group, read in order, a few at a time."""

    def __init__(self, path: Path, group: int, column: str) -> None:
        self._path, self._group, self._column = path, group, column
        self._first = 0
        self._cells: Any = []
        self._batches = self._start()

    def get(self, row: int) -> Any:
        """Return a cell; one before the last that was read costs reading anew."""
        if row < self._first:
            self._first, self._cells = 0, []
            self._batches = self._start()
        while row >= self._first + len(self._cells):
            self._first += len(self._cells)
            self._cells = next(self._batches).column(0)
        return self._cells[row - self._first].as_py()

    def _start(self) -> Iterator[Any]:
        file = pq.ParquetFile(self._path, pre_buffer=False, buffer_size=1 << 20)
        return file.iter_batches(
            batch_size=_AUDIO_ROWS, row_groups=[self._group], columns=[self._column]
        )


@lru_cache(maxsize=1)
def _cursor(path: Path, modified_ns: int, group: int, column: str) -> _Cursor:
    return _Cursor(path, group, column)


class ParquetReader:
    """Parquet of Hugging Face, or any with bytes or paths of audio in a column."""

    name = "parquet"
    layout = "*.parquet with a column of audio (bytes, {bytes, path} or a path) and of text"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return the columns of the first table that has audio and text."""
        for name in look.names:
            if name.suffix != _SUFFIX:
                continue
            try:
                columns = _columns(look.path(name), ReadingOptions())
            except (CorpusError, LeftOutError):
                continue
            used = ", ".join(f"{field} = {column}" for field, column in columns.items())
            return f"{name} has columns {used}"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the rows of a table, or of all below a folder, and what else is there."""
        if source.is_file():
            yield from _of_file(source, source.parent, _columns(source, options), options)
            return
        fault: CorpusError | None = None
        is_any = False
        for folder, names in walk_folders(source):
            for path in (folder / name for name in names):
                if path.suffix != _SUFFIX or path.name.startswith("."):
                    yield left_alone(path, "no Parquet")
                    continue
                try:
                    columns = _columns(path, options)
                except LeftOutError as error:
                    yield left_out(path, error.reason, error.value)
                except CorpusError as error:
                    fault = error
                    yield left_out(path, "no columns of audio and text", str(error))
                else:
                    is_any = True
                    yield from _of_file(path, source, columns, options)
        if fault is not None and not is_any:
            raise fault


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise LeftOutError("Parquet cannot be read", str(error)) from error


def _columns(path: Path, options: ReadingOptions) -> dict[str, str]:
    """Return what is known of a recording -> column.

    Raises:
        CorpusError: audio or text have no column.
        LeftOutError: the table cannot be read.
    """
    schema = _schema(path)
    given = dict(options.columns)
    features = _features(schema)
    audio = [name for name, feature in features.items() if feature.get("_type") == "Audio"]
    audio += [field.name for field in schema if _holds_bytes(field.type)]
    preferred = [name for name in NAMES["audio"] if name in audio] + audio
    if preferred:
        given.setdefault("audio", preferred[0])
    columns = find_columns(schema.names, ("audio", "text"), given, path)
    if "start" not in columns:
        return {field: name for field, name in columns.items() if field not in TIMES}
    return columns


def _features(schema: pa.Schema) -> Mapping[str, Mapping[str, Any]]:
    """Return what Hugging Face's datasets say of their columns."""
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = said["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: known for name, known in features.items() if isinstance(known, dict)}


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _of_file(
    path: Path, root: Path, columns: Mapping[str, str], options: ReadingOptions
) -> Iterator[Recording | RejectedFile]:
    schema = _schema(path)
    labels = {
        name: feature["names"] for name, feature in _features(schema).items() if "names" in feature
    }
    audio = columns["audio"]
    is_struct = pa.types.is_struct(schema.field(audio).type)
    has_path = is_struct and any(field.name == "path" for field in schema.field(audio).type)
    is_text = pa.types.is_string(schema.field(audio).type)
    known = [name for field, name in columns.items() if field != "audio"]
    shown = [*known, *([f"{audio}.path"] if has_path else [audio] if is_text else [])]
    paths = AudioPaths(path.parent, options.audio_dir)
    inside = path.relative_to(root).with_suffix("").as_posix()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=shown):
                for values in batch.to_pylist():
                    place = f"{path}:row {row} of row group {group}"
                    fields = _fields(values, columns, labels)
                    cell = ParquetCell(path, group, row, audio, options.audio_dir)
                    found = paths.find(str(values[audio])) if is_text and values[audio] else cell
                    name = f"{inside}-{group:04d}-{row:06d}"
                    try:
                        yield recording_of(
                            fields, found, name, place, options, source=root.absolute().name
                        )
                    except LeftOutError as error:
                        yield left_out(place, error.reason, error.value)
                    row += 1


def _fields(
    values: Mapping[str, Any], columns: Mapping[str, str], labels: Mapping[str, list[str]]
) -> dict[str, Any]:
    """Return the fields of a row, numbers of classes by their names."""
    found = {}
    for field, name in columns.items():
        if field == "audio":
            continue
        value = values[name]
        is_class = name in labels and isinstance(value, int) and 0 <= value < len(labels[name])
        found[field] = labels[name][value] if is_class else value
    return found
