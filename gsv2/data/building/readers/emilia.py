"""Recordings of Emilia: `NAME.mp3` beside `NAME.json`, unpacked, in tars, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.audio_paths import AudioPaths
from gsv2.data.building.readers.folders import NamedFiles, walk_folders, why_no_audio
from gsv2.data.building.readers.glance import Glance, first_lines
from gsv2.data.building.readers.json_fields import described
from gsv2.data.building.readers.lines import Line, needed_text, recordings_of, text_lines
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of
from gsv2.data.building.readers.webdataset import file_recordings, tar_recordings
from gsv2.data.corpus.manifest import CorpusError
from gsv2.data.indexing.tar_walk import TarDamageError, TarWalk

_FIELDS = frozenset({"id", "wav", "text", "speaker", "language"})
"""Fields by which Emilia is known."""
_LICENCE = "CC-BY-NC-4.0"
_SOURCE = "emilia"


class EmiliaReader:
    """Emilia, and what its pipeline makes of other recordings."""

    name = "emilia"
    layout = "NAME.mp3 beside NAME.json with id, wav, text, speaker, language; in tars, or .jsonl"
    precedes: tuple[str, ...] = ("webdataset", "jsonl", "pairs")

    def recognise(self, look: Glance) -> str | None:
        """Return JSON with Emilia's fields."""
        names = set(look.names)
        for name in look.names:
            path = look.path(name)
            if name.suffix == ".tar":
                return f"{name} holds JSON with id, wav, text" if _tar_is_own(path) else None
            beside = any(name.with_suffix(suffix) in names for suffix in (".mp3", ".wav", ".flac"))
            if name.suffix == ".jsonl" or (name.suffix == ".json" and beside):
                lines = first_lines(path, 1 if name.suffix == ".jsonl" else 1000)
                return f"{name} has fields id, wav, text" if _is_own("\n".join(lines)) else None
        return None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the clips of each tar, list or folder, and what else is there."""
        if source.is_file():
            yield from _of_file(source, source.parent, options)
            return
        named = NamedFiles()
        for folder, names in walk_folders(source):
            yield from _one_folder(source, folder, names, named, options)
        yield from named.others(source, [], _why)


def _is_own(content: str | bytes) -> bool:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.keys() >= _FIELDS


def _tar_is_own(path: Path) -> bool:
    """Tell whether the first JSON of a tar is Emilia's."""
    with path.open("rb") as file:
        try:
            walk = TarWalk(file, wanted=lambda name: name.endswith(".json"))
            content = next((m.content for m in walk if m.content is not None), None)
        except TarDamageError:
            return False
    return content is not None and _is_own(content)


def _of_file(path: Path, root: Path, options: ReadingOptions) -> Listed:
    if path.suffix == ".tar":
        return tar_recordings(path, root, options)
    if _is_list(path.name):
        return _lines(path, NamedFiles(), options)
    raise CorpusError(f"{path} is no tar and no .jsonl of Emilia")


def _is_list(name: str) -> bool:
    return name.endswith((".jsonl", ".jsonl.gz"))


def _one_folder(
    root: Path, folder: Path, names: list[str], named: NamedFiles, options: ReadingOptions
) -> Listed:
    there = set(names)
    for path in (folder / name for name in names):
        if (clips := file_recordings(path, root, options)) is not None:
            named.add(path)
            yield from clips
        elif _is_list(path.name):
            named.add(path)
            yield from _lines(path, named, options)
        elif not why_no_audio(path) and f"{path.stem}.json" in there:
            named.add(path)
            named.add(path.with_suffix(".json"))
            yield from _clip(root, path, options)


def _why(path: Path) -> str:
    return "no recording of this name" if path.suffix == ".json" else ""


def _clip(root: Path, path: Path, options: ReadingOptions) -> Iterator[Recording | RejectedFile]:
    try:
        fields = described(path.with_suffix(".json").read_bytes(), options.columns)
        name = path.relative_to(root).as_posix()
        yield _recording(fields, path, name, safe_key(path.stem), str(path), options)
    except LeftOutError as error:
        yield left_out(path.with_suffix(".json"), error.reason, error.value)


def _lines(path: Path, named: NamedFiles, options: ReadingOptions) -> Listed:
    audio = AudioPaths(path.parent, options.audio_dir)

    def make(line: Line) -> Recording:
        fields = described(line.text.encode(errors="surrogateescape"), options.columns)
        name = json.loads(line.text).get("wav")
        if not isinstance(name, str) or not name:
            raise LeftOutError("row names no audio", line.text[:80])
        key = safe_key(Path(name).stem)
        file = named.add(audio.find(name))
        return _recording(fields, file, name, key, line.place, options)

    return recordings_of(text_lines(path, options.encoding), make)


def _recording(
    fields: dict[str, str], audio: Path, name: str, key: str, place: str, options: ReadingOptions
) -> Recording:
    return Recording(
        key=key,
        name=name,
        place=place,
        audio=audio,
        text=needed_text(fields["text"]),
        language=language_of(fields["language"], options),
        speaker=fields["speaker"] or options.speaker,
        source=fields["source"] or _SOURCE,
        licence=fields["licence"] or _LICENCE,
    )
