"""Recordings of VCTK: `wav48*/SPEAKER/NAME[_mic1].flac` and `txt/SPEAKER/NAME.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording
from gsv2.data.building.readers.folders import NamedFiles, walk_folders, why_no_audio
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of_all
from gsv2.data.corpus.manifest import CorpusError

_STEM = re.compile(r"(?P<name>[^_]+_\d+)(_(?P<mic>mic\d))?")
_AUDIO = re.compile(r"wav(48|16)?.*")
_MICS = ("mic1", "mic2")
_LANGUAGE = "en"
_LICENCE = "CC-BY-4.0"


class VctkReader:
    """VCTK; of release 0.92 the first microphone, or the one of `--column audio=mic2`."""

    name = "vctk"
    layout = "wav48*/SPEAKER/NAME[_mic1].flac and txt/SPEAKER/NAME.txt"
    precedes: tuple[str, ...] = ("pairs",)

    def recognise(self, look: Glance) -> str | None:
        """Return the folders of sound and of text, if a speaker is in both."""
        if not look.is_folder or not (look.source / "txt").is_dir():
            return None
        for folder in _audio_folders(look.source):
            both = [p.name for p in (look.source / "txt").iterdir() if (folder / p.name).is_dir()]
            if both:
                return f"{folder.name}/{min(both)} and txt/{min(both)}"
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the sentences of each speaker, then what else is in the folder."""
        wanted = options.columns.get("audio", _MICS[0])
        if wanted not in _MICS:
            raise CorpusError(f"--column audio= must be {' or '.join(_MICS)}, but is {wanted!r}")
        if not (folders := _audio_folders(source)):
            raise CorpusError(f"{source} has no folder wav48 or wav48_silence_trimmed")
        named = NamedFiles()
        for root in folders:
            for folder, names in walk_folders(root):
                for path in _chosen(folder, names, wanted):
                    recording = _recording(source, path, options)
                    named.add(path)
                    if isinstance(recording.text, Path):
                        named.add(recording.text)
                    yield recording
        yield from named.others(source, [], lambda path: _why(path, folders))


def _audio_folders(source: Path) -> list[Path]:
    below = sorted(path for path in source.iterdir() if path.is_dir())
    return [path for path in below if _AUDIO.fullmatch(path.name)]


def _chosen(folder: Path, names: list[str], wanted: str) -> Iterator[Path]:
    """Yield the recording of each sentence, from another microphone if it has no other."""
    by_sentence: dict[str, list[Path]] = {}
    for path in (folder / name for name in names):
        if not why_no_audio(path):
            by_sentence.setdefault(_sentence(path), []).append(path)
    for paths in by_sentence.values():
        yield next((path for path in paths if path.stem.endswith(f"_{wanted}")), paths[0])


def _sentence(audio: Path) -> str:
    match = _STEM.fullmatch(audio.stem)
    return match["name"] if match else audio.stem


def _why(path: Path, folders: list[Path]) -> str:
    if why := why_no_audio(path):
        is_text = path.suffix == ".txt" and path.parent.parent.name == "txt"
        return "no recording of this name" if is_text else why
    inside = any(path.is_relative_to(folder) for folder in folders)
    return "the other microphone is read" if inside else "outside of the folders of audio"


def _recording(root: Path, audio: Path, options: ReadingOptions) -> Recording:
    sentence, speaker = _sentence(audio), audio.parent.name
    text = root / "txt" / speaker / f"{sentence}.txt"
    return Recording(
        key=safe_key(f"{speaker}/{sentence}"),
        name=audio.relative_to(root).as_posix(),
        place=str(audio),
        audio=audio,
        text=text if text.is_file() else None,
        missing_text=f"no file {text.relative_to(root).as_posix()}",
        language=language_of_all("vctk", options, _LANGUAGE),
        speaker=speaker,
        source="vctk",
        licence=_LICENCE,
        encoding=options.encoding,
    )
