"""Recordings of AISHELL-3: `content.txt`, `FILE.wav<TAB>char pinyin char pinyin ...`."""

from __future__ import annotations

import re
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.folders import NamedFiles
from gsv2.data.building.readers.glance import Glance, first_lines, most
from gsv2.data.building.readers.lines import Line, recordings_of, text_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of_all
from gsv2.data.corpus.manifest import CorpusError

_PLACES = ("content.txt", "train/content.txt", "test/content.txt")
_PINYIN = re.compile(r"[a-zü:]+r?[1-6]", re.IGNORECASE)
_SPEAKER_CHARACTERS = 7  # SSB0005 of SSB00050001.wav
_LANGUAGE = "zh"


class Aishell3Reader:
    """AISHELL-3: Mandarin of many speakers, each character beside its pinyin, which is dropped."""

    name = "aishell3"
    layout = "content.txt of FILE.wav<TAB>characters and pinyin by turns; wav/SPEAKER/FILE.wav"
    precedes: tuple[str, ...] = ("pairs",)

    def recognise(self, look: Glance) -> str | None:
        """Return the lists of characters beside their pinyin."""
        found = [path for path in _lists(look.source) if most(first_lines(path), _is_row)]
        names = [path.relative_to(look.source).as_posix() for path in found if look.is_folder]
        where = " and ".join(names or [look.source.name])
        return f"{where} has pinyin beside characters" if found else None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the lines of the lists, and the files of the folder that they do not name."""
        if not (lists := _lists(source)):
            raise CorpusError(f"{source} has no content.txt, nor one in train/ or test/")
        named = NamedFiles()
        for path in lists:
            audio = AudioPaths(path.parent, options.audio_dir, ("wav", ""))

            def make(line: Line, audio: AudioPaths = audio) -> Recording:
                return _recording(line, audio, named, options)

            yield from recordings_of(text_lines(path, options.encoding), make)
        if source.is_dir():
            yield from named.others(source, lists)


def _lists(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if source.name == "content.txt" else []
    return [source / place for place in _PLACES if (source / place).is_file()]


def _is_row(line: str) -> bool:
    name, tab, content = line.partition("\t")
    pinyin = content.split()[1::2]
    return bool(tab and name.endswith(".wav") and pinyin) and all(map(_PINYIN.fullmatch, pinyin))


def _recording(
    line: Line, audio: AudioPaths, named: NamedFiles, options: ReadingOptions
) -> Recording:
    name, tab, content = line.text.partition("\t")
    tokens = content.split()
    if not tab or not name.strip():
        what = f"not FILE.wav, a tab and characters: {line.text[:80]}"
        raise LeftOutError("wrong number of columns", what)
    if not tokens:
        raise LeftOutError("no transcript", "the text is empty")
    if len(tokens) % 2 or not all(map(_PINYIN.fullmatch, tokens[1::2])):
        raise LeftOutError("characters and pinyin do not alternate", content[:80])
    stem = Path(name.strip()).stem
    speaker = stem[:_SPEAKER_CHARACTERS]
    path = named.add(_find(audio, speaker, name.strip()))
    return Recording(
        key=safe_key(f"{speaker}/{stem}"),
        name=str(path),
        place=line.place,
        audio=path,
        text=_joined(tokens[::2]),
        language=language_of_all("aishell3", options, _LANGUAGE),
        speaker=speaker,
        source="aishell3",
    )


def _find(audio: AudioPaths, speaker: str, name: str) -> Path:
    return audio.find(name if "/" in name else f"{speaker}/{name}")


def _joined(characters: list[str]) -> str:
    """Return characters as text; words in Latin letters keep a blank between them."""
    text = ""
    for part in characters:
        blank = " " if text and text[-1].isascii() and part[0].isascii() else ""
        text += blank + part
    return text
