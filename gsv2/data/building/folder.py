"""Recordings in folders: `LANGUAGE/SPEAKER/[SESSION/]NAME.wav` beside `NAME.txt`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.corpus.manifest import CorpusError
from gsv2.text.language import LanguageError, canonical_language

READABLE = frozenset(
    ".flac .wav .wave .bwf .rf64 .w64 .ogg .oga .opus .mp3 .mp2 .mpga .aif .aiff .aifc .au .snd "
    ".caf .sph .nist .sf .ircam .voc .paf .pvf .avr .svx .8svx .iff .htk .sds .sd2 .wve .xi".split()
)
"""Suffixes of formats that libsndfile reads."""
UNDECODABLE = frozenset(
    ".m4a .m4b .mp4 .aac .adts .webm .weba .mkv .mka .mov .wma .asf .amr .awb .3gp .3g2 .ac3 .eac3 "
    ".ape .wv .tta .tak .dsf .dff .dts .ra .rm .spx .mpc .qcp .gsm .shn .raw .pcm .avi .flv "
    ".alac .ts .m4r .mpg .mpeg .ogv .ogx .oma .aa .aax".split()
)
"""Suffixes of audio and video that it does not read."""
_LAYOUT = (
    "a folder input must be LANGUAGE/SPEAKER/NAME.wav, or name the language of all files with "
    "--language"
)


def folder_recordings(
    root: Path, *, language: str | None = None
) -> Iterator[Recording | RejectedFile]:
    """Yield the audio files below a folder, and every other file as left alone.

    Args:
        root: `LANGUAGE/SPEAKER/NAME.wav`, or `SPEAKER/NAME.wav` with `language`; folders below
            SPEAKER are sessions. The transcript is `NAME.txt` in the same folder.
        language: language of all files.

    Raises:
        CorpusError: no such folder, a folder that cannot be listed, or a file whose place does
            not tell its language.
    """
    if not root.is_dir():
        raise CorpusError(f"input folder {root} does not exist or is no folder")
    for _, files in groupby(sorted(_files(root)), key=lambda path: path.parent):
        yield from _one_folder(root, list(files), language)


def _files(root: Path) -> Iterator[Path]:
    """Yield all files, and the links to folders, which are not followed."""

    def stop(error: OSError) -> None:
        raise CorpusError(f"folder {error.filename} cannot be listed: {error.strerror}") from error

    for folder, below, files in os.walk(root, onerror=stop):
        for name in files:
            yield Path(folder, name)
        for name in below:
            if Path(folder, name).is_symlink():
                yield Path(folder, name)


def _one_folder(
    root: Path, files: list[Path], language: str | None
) -> Iterator[Recording | RejectedFile]:
    texts = {path.stem: path for path in reversed(files) if path.suffix.lower() == ".txt"}
    known = {path.stem for path in files if path.suffix.lower() in READABLE | UNDECODABLE}
    used = set()
    for path in files:
        if why := _left_alone(path, texts, known):
            if why != _TEXT:
                yield _left(path, why)
            continue
        if path.stem in texts:
            used.add(texts[path.stem])
        yield _recording(root, path, texts.get(path.stem), files, language)
    for path in files:
        if _left_alone(path, texts, known) == _TEXT and path not in used:
            yield _left(path, "no recording of this name")


_TEXT = "text"


def _left_alone(path: Path, texts: dict[str, Path], known: set[str]) -> str:
    """Return why a file is no recording; "" for a recording."""
    if path.name.startswith("."):
        return "hidden file"
    if path.is_dir():
        return "link to a folder, which is not followed"
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return _TEXT
    if suffix in READABLE | UNDECODABLE:
        return ""
    if path.stem in texts and path.stem not in known:
        return ""  # whatever it is, somebody wrote what is said in it: libsndfile may know it
    return "no suffix of an audio file"


def _left(path: Path, why: str) -> RejectedFile:
    suffix = path.suffix or "no suffix"
    return RejectedFile(key="", reason=f"left alone: {why}", file=str(path), value=suffix)


def _recording(
    root: Path, audio: Path, text: Path | None, files: list[Path], language: str | None
) -> Recording:
    inside = audio.relative_to(root)
    tag, speaker = _place(audio, inside.parts[:-1], language)
    beside = [path.name for path in files if path.stem.startswith(f"{audio.stem}.")]
    found = f"; beside it: {', '.join(beside[:4])}" if beside else ""
    return Recording(
        key=safe_key(inside.with_suffix("").as_posix()),
        name=inside.as_posix(),
        place=str(audio),
        audio=audio,
        text=text,
        missing_text=f"no file {audio.stem}.txt{found}",
        language=tag,
        speaker=speaker,
        source=root.name,
    )


def _place(audio: Path, folders: tuple[str, ...], language: str | None) -> tuple[str, str]:
    """Return the language and the speaker that the folders of a file tell."""
    if language is not None:
        tag = canonical_language(language)
        if len(folders) > 1 and _is(folders[0], tag):
            folders = folders[1:]
        return tag, folders[0] if folders else ""
    if len(folders) < 2:
        raise CorpusError(f"{audio}: {_LAYOUT}")
    try:
        return canonical_language(folders[0]), folders[1]
    except LanguageError as error:
        raise CorpusError(f"{audio}: {error}; {_LAYOUT}") from error


def _is(label: str, tag: str) -> bool:
    try:
        return canonical_language(label) == tag
    except LanguageError:
        return False
