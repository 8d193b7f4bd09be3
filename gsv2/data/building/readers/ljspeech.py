"""Recordings in the layout of LJSpeech: `metadata.csv`, lines of `ID|TEXT[|NORMALISED]`.

It is no CSV: quotes are part of the text. `speakers.tsv` beside it, lines of ID, SPEAKER and, if
they are several, LANGUAGE, makes it hold many voices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.columns import find_columns, names_columns
from gsv2.data.building.readers.folders import NamedFiles
from gsv2.data.building.readers.glance import Glance, first_lines, most
from gsv2.data.building.readers.labels import Labels
from gsv2.data.building.readers.lines import Line, needed_text, recordings_of, text_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of, language_of_all
from gsv2.data.corpus.manifest import CorpusError

_TABLES = ("metadata.csv", "metadata.txt", "transcript.txt", "transcripts.txt")
_SPEAKERS = "speakers.tsv"
_FOLDERS = ("wavs", "wav", "audio", "")
_OWN = re.compile(r"LJ\d{3}-\d{4}")
_LANGUAGE = "en"
"""Language of LJSpeech itself."""
_TEXTS = {"raw": 1, "2": 1, "normalized": 2, "3": 2}
"""Values of `--column text=` -> column."""


class LJSpeechReader:
    """LJSpeech, and what people put into its layout."""

    name = "ljspeech"
    layout = "metadata.csv of ID|TEXT[|NORMALISED], wavs/ID.wav; speakers.tsv if they are several"
    precedes: tuple[str, ...] = ("pairs",)

    def recognise(self, look: Glance) -> str | None:
        """Return a table of two or three columns between pipes, the first no header."""
        for table in look.tables(".csv", ".txt"):
            lines = first_lines(table)
            named = table.name.lower() in _TABLES or (table.parent / "wavs").is_dir()
            if named and most(lines, _is_row) and not names_columns(lines[0].split("|")):
                speakers = (table.parent / _SPEAKERS).is_file()
                whose = f"speakers in {_SPEAKERS}" if speakers else f"one speaker, no {_SPEAKERS}"
                return f"{table.name} has lines ID|TEXT; {whose}"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the lines of the table, then the files of the folder that it does not name."""
        table = source if source.is_file() else _table(source)
        root = table.parent
        speakers, faults = _speakers(root / _SPEAKERS, options)
        yield from faults
        audio, named = AudioPaths(root, options.audio_dir, _FOLDERS), NamedFiles()

        def make(line: Line) -> Recording:
            return _recording(line, root, audio, named, speakers, options)

        yield from recordings_of(text_lines(table, options.encoding), make)
        if source.is_dir():
            yield from named.others(root, [table, root / _SPEAKERS])


def _is_row(line: str) -> bool:
    columns = line.split("|")
    return len(columns) in (2, 3) and bool(columns[0].strip()) and " " not in columns[0].strip()


def _table(source: Path) -> Path:
    tables = Glance(source).tables(".csv", ".txt")
    known = [path for path in tables if path.name.lower() in _TABLES] or [
        path for path in tables if most(first_lines(path), _is_row)
    ]
    if not known:
        raise CorpusError(f"{source} has no metadata.csv with lines ID|TEXT")
    return known[0]


def _speakers(path: Path, options: ReadingOptions) -> tuple[Labels | None, list[RejectedFile]]:
    """Return ID -> SPEAKER and LANGUAGE, separated by a tab, and the lines that are neither."""
    faults: list[RejectedFile] = []
    found = Labels(_pairs(path, options, faults)) if path.is_file() else None
    return found, faults


def _pairs(
    path: Path, options: ReadingOptions, faults: list[RejectedFile]
) -> Iterator[tuple[str, str]]:
    identifier, speaker, language = 0, 1, 2
    for number, line in enumerate(text_lines(path, options.encoding)):
        if isinstance(line, RejectedFile):
            faults.append(line)
            continue
        columns = [column.strip() for column in line.text.split("\t")]
        if number == 0 and names_columns(columns):
            found = find_columns(columns, ("key", "speaker"), {}, path)
            identifier, speaker = columns.index(found["key"]), columns.index(found["speaker"])
            language = columns.index(found["language"]) if "language" in found else len(columns)
        elif len(columns) <= max(identifier, speaker):
            what = (
                f"{len(columns)} columns, not ID and SPEAKER with a tab between: {line.text[:80]}"
            )
            faults.append(left_out(line.place, "wrong number of columns", what))
        else:
            label = columns[language] if len(columns) > language else ""
            yield Path(columns[identifier]).stem, f"{columns[speaker]}\t{label}"


def _recording(
    line: Line,
    root: Path,
    audio: AudioPaths,
    named: NamedFiles,
    speakers: Labels | None,
    options: ReadingOptions,
) -> Recording:
    columns = [column.strip() for column in line.text.split("|")]
    if len(columns) not in (2, 3) or not columns[0]:
        what = f"{len(columns)} columns, not ID|TEXT or ID|TEXT|NORMALISED: {line.text[:80]}"
        raise LeftOutError("wrong number of columns", what)
    path = named.add(audio.find(columns[0]))
    speaker, label = options.speaker or root.absolute().name, ""
    if speakers is not None:
        speaker, _, label = speakers.get(path.stem).partition("\t")
    usual = _LANGUAGE if _OWN.fullmatch(path.stem) else None
    tag = language_of(label, options) if label else language_of_all("ljspeech", options, usual)
    return Recording(
        key=safe_key(columns[0].removesuffix(path.suffix)),
        name=str(path),
        place=line.place,
        audio=path,
        text=needed_text(_text(columns, options)),
        language=tag,
        speaker=speaker or options.speaker,
        source=root.absolute().name,
    )


def _text(columns: list[str], options: ReadingOptions) -> str:
    """Return the normalised text, or the raw one where there is none or it is asked for."""
    wanted = options.columns.get("text", "normalized")
    if wanted not in _TEXTS:
        raise CorpusError(f"--column text= must be raw or normalized here, but is {wanted!r}")
    column = _TEXTS[wanted]
    return columns[column] if len(columns) > column and columns[column] else columns[1]
