"""Recordings in a GPT-SoVITS list: `AUDIO|SPEAKER|LANGUAGE|TEXT`, a line each."""

from __future__ import annotations

from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.glance import Glance, first_lines, most
from gsv2.data.building.readers.lines import Line, needed_text, recordings_of, text_lines
from gsv2.data.building.readers.reader import (
    Listed,
    ReadingOptions,
    canonical_language,
    language_of,
)
from gsv2.data.corpus.manifest import CorpusError
from gsv2.text.language import LanguageError

_ALIASES = {"jp": "ja"}
"""Labels of lists that are no tags -> tag."""
_SUFFIXES = (".list", ".lst", ".txt")


class GptSovitsReader:
    """Lists of GPT-SoVITS, and of Bert-VITS2, which are the same."""

    name = "gpt-sovits"
    layout = "FILE.list, lines of AUDIO|SPEAKER|LANGUAGE|TEXT"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return a list whose lines have four columns, a language in the third."""
        for table in look.tables(*_SUFFIXES):
            if most(first_lines(table), _is_row):
                return f"{table.name} has lines AUDIO|SPEAKER|LANGUAGE|TEXT"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the lines of a list, or of all lists in a folder."""
        for path in _lists(source):
            audio = AudioPaths(path.parent, options.audio_dir)

            def make(line: Line, audio: AudioPaths = audio, path: Path = path) -> Recording:
                return _recording(line, audio, path.stem, options)

            yield from recordings_of(text_lines(path, options.encoding), make)


def _lists(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    tables = Glance(source).tables(*_SUFFIXES)
    lists = [path for path in tables if most(first_lines(path), _is_row)]
    if not lists:
        raise CorpusError(f"{source} must be a list of AUDIO|SPEAKER|LANGUAGE|TEXT, or hold one")
    return lists


def _is_row(line: str) -> bool:
    columns = line.split("|")
    try:
        return len(columns) == 4 and bool(canonical_language(_tag(columns[2])))
    except LanguageError:
        return False


def _tag(label: str) -> str:
    return _ALIASES.get(label.strip().lower(), label.strip())


def _recording(line: Line, audio: AudioPaths, source: str, options: ReadingOptions) -> Recording:
    columns = line.text.split("|")
    if len(columns) != 4:
        what = f"{len(columns)} columns, not AUDIO|SPEAKER|LANGUAGE|TEXT: {line.text[:80]}"
        raise LeftOutError("wrong number of columns", what)
    name, speaker, label, text = (column.strip() for column in columns)
    path = audio.find(name)
    return Recording(
        key=safe_key(f"{source}/{path.stem}"),
        name=str(path),
        place=line.place,
        audio=path,
        text=needed_text(text),
        language=language_of(_tag(label), options),
        speaker=speaker or options.speaker,
        source=source,
    )
