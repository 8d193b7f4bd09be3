"""Recordings of LibriTTS and LibriTTS-R: `READER/CHAPTER/NAME.wav` and `NAME.normalized.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.readers.folders import left_alone, walk_folders, why_no_audio
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of_all
from gsv2.data.corpus.manifest import CorpusError

_STEM = re.compile(r"(?P<reader>\d+)_(?P<chapter>\d+)_\d+_\d+")
_TEXTS = ("normalized", "original")
_LANGUAGE = "en"
_LICENCE = "CC-BY-4.0"


class LibriTtsReader:
    """LibriTTS, LibriTTS-R, and subsets of them from any folder on."""

    name = "libritts"
    layout = "[SET/]READER/CHAPTER/NAME.wav beside NAME.normalized.txt"
    precedes: tuple[str, ...] = ("folder", "pairs")

    def recognise(self, look: Glance) -> str | None:
        """Return a recording whose name repeats its folders, beside its transcript."""
        names = set(look.names)
        for audio in look.audio():
            text = audio.with_suffix(".normalized.txt")
            if _STEM.fullmatch(audio.stem) and text in names:
                return f"{audio} beside {text.name}"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the recordings of each chapter, and what else is in its folder."""
        wanted = options.columns.get("text", _TEXTS[0])
        if wanted not in _TEXTS:
            raise CorpusError(f"--column text= must be {' or '.join(_TEXTS)}, but is {wanted!r}")
        for folder, names in walk_folders(source):
            yield from _one_folder(source, folder, names, wanted, options)


def _one_folder(
    root: Path, folder: Path, names: list[str], wanted: str, options: ReadingOptions
) -> Iterator[Recording | RejectedFile]:
    paths = [folder / name for name in names]
    recordings = {path.stem: path for path in paths if not why_no_audio(path)}
    for path in paths:
        stem, _, rest = path.name.partition(".")
        if recordings.get(path.stem) == path:
            yield _recording(root, path, names, wanted, options)
        elif path.suffix == ".txt" and rest.removesuffix(".txt") in _TEXTS:
            if stem not in recordings:
                yield left_alone(path, "no recording of this name")
            elif rest != f"{wanted}.txt":
                yield left_alone(path, f"the {wanted} text is read")
        else:
            yield left_alone(path, why_no_audio(path) or "two recordings of this name")


def _recording(
    root: Path, audio: Path, names: list[str], wanted: str, options: ReadingOptions
) -> Recording:
    inside = audio.relative_to(root)
    match = _STEM.fullmatch(audio.stem)
    text = f"{audio.stem}.{wanted}.txt"
    return Recording(
        key=safe_key(audio.stem),
        name=inside.as_posix(),
        place=str(audio),
        audio=audio,
        text=audio.with_name(text) if text in names else None,
        missing_text=f"no file {text}",
        language=language_of_all("libritts", options, _LANGUAGE),
        speaker=match["reader"] if match else options.speaker,
        source=root.absolute().name,
        licence=_LICENCE,
        encoding=options.encoding,
    )
