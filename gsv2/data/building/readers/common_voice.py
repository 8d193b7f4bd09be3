"""Recordings of Common Voice: `validated.tsv` and `clips/`, or any TSV of a release."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.folders import NamedFiles
from gsv2.data.building.readers.glance import Glance, first_lines
from gsv2.data.building.readers.lines import Line, needed_text, recordings_of, text_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of
from gsv2.data.corpus.manifest import CorpusError

_COLUMNS = ("client_id", "path", "sentence")
_PREFERRED = ("validated.tsv", "train.tsv")
_LICENCE = "CC0-1.0"


class CommonVoiceReader:
    """A release of Mozilla's Common Voice: one table of it, since their clips overlap."""

    name = "common-voice"
    layout = "validated.tsv (or the TSV that is named) with client_id, path, sentence; clips/"
    precedes: tuple[str, ...] = ("table", "pairs")

    def recognise(self, look: Glance) -> str | None:
        """Return the table that is read."""
        if not (tables := _tables(look)):
            return None
        others = [path.name for path in tables[1:]]
        rest = f"; {', '.join(others)} not read: name one as the input to read it" if others else ""
        return f"{tables[0].name} has columns client_id, path, sentence{rest}"

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the rows of a table, then the files of the release that it does not name."""
        tables = _tables(Glance(source))
        if not tables:
            raise CorpusError(f"{source} has no TSV with columns client_id, path, sentence")
        table = tables[0]
        names = _header(table)
        if (column := options.columns.get("text", "sentence")) not in names:
            raise CorpusError(f"{table} has no column {column}, only {', '.join(names)}")
        audio, named = AudioPaths(table.parent, options.audio_dir, ("clips", "")), NamedFiles()

        def make(line: Line) -> Recording:
            return _recording(line, names, audio, named, options)

        lines = text_lines(table, options.encoding)
        next(lines, None)
        yield from recordings_of(lines, make)
        if source.is_dir():
            yield from named.others(source, [table], lambda path: _why(path, table))


def _tables(look: Glance) -> list[Path]:
    """Return the tables of clips, the one to read first."""
    found = [path for path in look.tables(".tsv") if set(_COLUMNS) <= set(_header(path))]
    rank = {name: place for place, name in enumerate(_PREFERRED)}
    return sorted(found, key=lambda path: (rank.get(path.name, len(rank)), path.name))


def _header(table: Path) -> list[str]:
    lines = first_lines(table, 1)
    return [name.strip() for name in lines[0].split("\t")] if lines else []


def _why(path: Path, table: Path) -> str:
    return f"no row of {table.name} names it" if path.parent.name == "clips" else ""


def _recording(
    line: Line,
    names: list[str],
    audio: AudioPaths,
    named: NamedFiles,
    options: ReadingOptions,
) -> Recording:
    columns = line.text.split("\t")
    if len(columns) != len(names):
        what = f"{len(columns)} columns, not {len(names)}: {line.text[:80]}"
        raise LeftOutError("wrong number of columns", what)
    row = dict(zip(names, columns, strict=True))
    if not row["path"].strip():
        raise LeftOutError("row names no audio", "column path is empty")
    path = named.add(audio.find(row["path"].strip()))
    return Recording(
        key=safe_key(path.stem),
        name=path.name,
        place=line.place,
        audio=path,
        text=needed_text(row[options.columns.get("text", "sentence")]),
        language=language_of(row.get("locale", ""), options),
        speaker=row["client_id"].strip() or options.speaker,
        source="common-voice",
        licence=_LICENCE,
    )
