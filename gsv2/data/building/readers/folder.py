"""Recordings in folders, each beside its transcript: `LANGUAGE/SPEAKER/[SESSION/]NAME.wav`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.readers.folders import (
    LINK,
    NO_AUDIO,
    left_alone,
    walk_folders,
    why_hidden,
)
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.reader import Listed, ReadingOptions, canonical_language
from gsv2.data.building.suffixes import AUDIO
from gsv2.data.corpus.manifest import CorpusError
from gsv2.text.language import LanguageError

_LAYOUT = (
    "a folder input must be LANGUAGE/SPEAKER/NAME.wav, or name the language of all files with "
    "--language"
)
_TXT = (".txt",)
_TEXTS = (".normalized.txt", ".txt", ".lab")


class FolderReader:
    """A folder of languages, each of speakers."""

    name = "folder"
    layout = "LANGUAGE/SPEAKER/NAME.wav beside NAME.txt; with --language SPEAKER/NAME.wav"
    precedes: tuple[str, ...] = ("pairs",)

    def recognise(self, look: Glance) -> str | None:
        """Return a language that all recordings of a large part of the folder are below."""
        tags = {name.parts[0] for name in look.audio() if len(name.parts) > 2}
        beside = _beside(look, _TXT)
        if beside is None or len(beside.parts) < 3 or not all(map(_is_tag, tags)):
            return None
        return f"{beside} beside {beside.with_suffix('.txt').name}; {beside.parts[0]} is a language"

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the recordings of each folder, and what else is in it."""
        return _listed(source, _TXT, options)


class PairsReader:
    """Any folder in which a recording and its transcript have one name."""

    name = "pairs"
    layout = "[SPEAKER/]NAME.wav beside NAME.normalized.txt, NAME.txt or NAME.lab"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return a recording beside its transcript."""
        beside = _beside(look, _TEXTS)
        if beside is None:
            return None
        names = set(look.names)
        text = next(t for suffix in _TEXTS if (t := _text_of(beside, suffix)) in names)
        return f"{beside} beside {text.name}"

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the recordings of each folder, and what else is in it."""
        wanted = options.columns.get("text")
        suffixes = _TEXTS if wanted is None else (f".{wanted.removeprefix('.')}",)
        return _listed(source, suffixes, options)


def _listed(root: Path, suffixes: Sequence[str], options: ReadingOptions) -> Listed:
    for folder, names in walk_folders(root):
        yield from _one_folder(root, folder, names, suffixes, options)


def _one_folder(
    root: Path, folder: Path, names: list[str], suffixes: Sequence[str], options: ReadingOptions
) -> Iterator[Recording | RejectedFile]:
    texts = _texts(names, suffixes)
    known = {_stem(name) for name in names if Path(name).suffix.lower() in AUDIO}
    beside: dict[str, list[str]] = {}
    for name in names:
        beside.setdefault(name.partition(".")[0], []).append(name)
    used: set[str] = set()
    for name in names:
        path, is_text = folder / name, name.lower().endswith(tuple(suffixes))
        if why := _why_alone(path, is_text, texts, known):
            if why != _TEXT:
                yield left_alone(path, why)
            continue
        stem = _stem(name)
        text = texts.get(stem)
        used.update((text,) if text else ())
        missing = "" if text else _missing(stem, beside[stem.partition(".")[0]], suffixes)
        yield _recording(root, path, folder / text if text else None, missing, options)
    for name in names:
        is_text = name.lower().endswith(tuple(suffixes))
        if is_text and name not in used and not name.startswith("."):
            another = _text_stem(name, suffixes) in known
            why = (
                "another text of the recording is read" if another else "no recording of this name"
            )
            yield left_alone(folder / name, why)


_TEXT = "text"


def _texts(names: list[str], suffixes: Sequence[str]) -> dict[str, str]:
    """Return stem -> name of the transcript, of the first suffix that there is."""
    found: dict[str, str] = {}
    for suffix in reversed(suffixes):
        for name in reversed(names):
            if name.lower().endswith(suffix):
                found[name[: -len(suffix)]] = name
    return found


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _text_stem(name: str, suffixes: Sequence[str]) -> str:
    return name[: -len(next(suffix for suffix in suffixes if name.lower().endswith(suffix)))]


def _why_alone(path: Path, is_text: bool, texts: dict[str, str], known: set[str]) -> str:
    """Return why a file is no recording; "" for a recording."""
    if path.name.startswith("."):
        return why_hidden(path)
    if is_text:
        return _TEXT
    if path.suffix.lower() not in AUDIO and path.is_dir():
        return LINK
    if path.suffix.lower() in AUDIO:
        return LINK if path.is_dir() else ""
    if path.stem in texts and path.stem not in known:
        return ""  # whatever it is, somebody wrote what is said in it: libsndfile may know it
    return NO_AUDIO


def _missing(stem: str, names: list[str], suffixes: Sequence[str]) -> str:
    beside = [name for name in names if _stem(name).startswith(f"{stem}.")]
    found = f"; beside it: {', '.join(beside[:4])}" if beside else ""
    return f"no file {' or '.join(f'{stem}{suffix}' for suffix in suffixes)}{found}"


def _recording(
    root: Path, audio: Path, text: Path | None, missing: str, options: ReadingOptions
) -> Recording:
    inside = audio.relative_to(root)
    tag, speaker = _place(audio, inside.parts[:-1], options.language)
    return Recording(
        key=safe_key(inside.with_suffix("").as_posix()),
        name=inside.as_posix(),
        place=str(audio),
        audio=audio,
        text=text,
        missing_text=missing,
        language=tag,
        speaker=speaker or options.speaker,
        source=root.name,
        encoding=options.encoding,
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


def _is_tag(label: str) -> bool:
    try:
        return bool(canonical_language(label))
    except LanguageError:
        return False


def _text_of(audio: PurePosixPath, suffix: str) -> PurePosixPath:
    return audio.with_name(f"{audio.stem}{suffix}")


def _beside(look: Glance, suffixes: Sequence[str]) -> PurePosixPath | None:
    """Return a recording that has a transcript of these suffixes beside it."""
    names = set(look.names)
    for audio in look.audio():
        if any(_text_of(audio, suffix) in names for suffix in suffixes):
            return audio
    return None
