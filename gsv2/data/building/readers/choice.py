"""Choice of a reader for an input: all that there are, and which of them know it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gsv2.data.building.readers.aishell3 import Aishell3Reader
from gsv2.data.building.readers.common_voice import CommonVoiceReader
from gsv2.data.building.readers.emilia import EmiliaReader
from gsv2.data.building.readers.folder import FolderReader, PairsReader
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.gpt_sovits import GptSovitsReader
from gsv2.data.building.readers.jsonl import JsonlReader
from gsv2.data.building.readers.lhotse import LhotseReader
from gsv2.data.building.readers.libritts import LibriTtsReader
from gsv2.data.building.readers.ljspeech import LJSpeechReader
from gsv2.data.building.readers.parquet import ParquetReader
from gsv2.data.building.readers.reader import AUTO, Reader
from gsv2.data.building.readers.subtitles import SubtitlesReader
from gsv2.data.building.readers.table import TableReader
from gsv2.data.building.readers.textgrid import TextGridReader
from gsv2.data.building.readers.vctk import VctkReader
from gsv2.data.building.readers.webdataset import WebDatasetReader
from gsv2.data.corpus.manifest import CorpusError

READERS: tuple[Reader, ...] = (
    LibriTtsReader(),
    VctkReader(),
    CommonVoiceReader(),
    Aishell3Reader(),
    EmiliaReader(),
    LhotseReader(),
    GptSovitsReader(),
    LJSpeechReader(),
    TextGridReader(),
    SubtitlesReader(),
    ParquetReader(),
    WebDatasetReader(),
    JsonlReader(),
    TableReader(),
    FolderReader(),
    PairsReader(),
)
"""All readers; where several know an input and none precedes the other, the first one reads it."""

_NAMED_FILES = 4
_TABLES = frozenset({".tsv", ".csv", ".list", ".jsonl", ".gz"})
"""Suffixes of tables, which lie in the folder that is to be named."""


class Choice(NamedTuple):
    """A reader for an input."""

    reader: Reader
    why: str
    """Evidence by which the input is known to be of this layout."""
    others: tuple[tuple[Reader, str], ...] = ()
    """Further readers that know it too."""

    def lines(self) -> list[str]:
        """Return what to tell before the input is read."""
        said = [f"read as {self.reader.name}: {self.why}"]
        for reader, why in self.others:
            said.append(f"could be {reader.name} too ({why}): --format {reader.name}")
        return said


def choose_reader(source: Path, name: str = AUTO, readers: Sequence[Reader] = READERS) -> Choice:
    """Return the reader of a name, or for `auto` the one that knows the input.

    Args:
        source: file or folder.
        name: name of a reader, or `auto`.
        readers: readers to choose from.

    Raises:
        CorpusError: no input, no reader of this name, or none that knows the input.
    """
    if name != AUTO:
        for reader in readers:
            if reader.name == name:
                return Choice(reader, "as --format says")
        names = ", ".join(reader.name for reader in readers)
        raise CorpusError(f"format must be {AUTO} or one of {names}, but is {name!r}")
    look = Glance(source)
    known = [(reader, why) for reader in readers if (why := reader.recognise(look)) is not None]
    covered = {general for reader, _ in known for general in reader.precedes}
    special = [(reader, why) for reader, why in known if reader.name not in covered]
    if not special:
        raise CorpusError(_unknown(look, readers))
    (reader, why), *others = special
    return Choice(reader, why, tuple(others))


def _unknown(look: Glance, readers: Sequence[Reader]) -> str:
    names = ", ".join(str(name) for name in look.names[:_NAMED_FILES]) or "nothing"
    silent = "audio without transcripts; " if look.audio() else ""
    formats = ", ".join(reader.name for reader in readers)
    deeper = [name for name in look.names if len(name.parts) > 1 and name.suffix in _TABLES]
    hint = f"take {look.source / deeper[0].parent} for the input, or " if deeper else ""
    return (
        f"{look.source} is of no layout that is known: {silent}it holds {names}; {hint}name its "
        f"layout with --format, one of {formats}"
    )
