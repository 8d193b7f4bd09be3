"""Segments of long recordings, as a file beside each recording says them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.fields import segment_name
from gsv2.data.building.readers.folders import left_alone, walk_folders, why_no_audio
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of
from gsv2.data.corpus.manifest import CorpusError

MAX_OVERLAP_SEC = 0.25
"""Longest part of a segment that others may share: two voices at once, or a text that is shown
twice."""
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording, and what is said in it."""

    line: int
    """Line of the file that says it, from 1."""
    start_sec: float
    end_sec: float
    text: str
    speaker: str = ""
    fault: tuple[str, str] = ("", "")
    """Reason and value, where it cannot be used."""


Parse = Callable[[str, ReadingOptions], list[Segment]]
"""Content of a file -> its segments; raises `LeftOutError`."""


def segmented_recordings(
    source: Path, suffixes: Sequence[str], parse: Parse, options: ReadingOptions
) -> Listed:
    """Yield the segments of all recordings below a folder, and by name what is left out.

    The file of `NAME.wav` is `NAME.SUFFIX` or `NAME.LANGUAGE.SUFFIX`, with the suffix in lower
    case here. A folder below the input is a speaker, where the file names none.
    """
    if source.is_file():
        raise CorpusError(f"input {source} must be a folder of recordings beside such files")
    for folder, names in walk_folders(source):
        sidecars = _Sidecars(names, suffixes)
        for name in names:
            path = folder / name
            if not why_no_audio(path):
                yield from _one_recording(source, path, sidecars, parse, options)
        for name in names:
            path = folder / name
            if name not in sidecars.used and why_no_audio(path):
                yield left_alone(path, _why(name, suffixes) or why_no_audio(path))


def _why(name: str, suffixes: Sequence[str]) -> str:
    is_sidecar = name.lower().endswith(tuple(suffixes))
    return "no recording of this name, or another language of it is read" if is_sidecar else ""


class _Sidecars:
    """Files of segments in one folder, and which of them are read.

    Args:
        names: names of all files in the folder.
        suffixes: suffixes of files of segments, in lower case.
    """

    def __init__(self, names: Sequence[str], suffixes: Sequence[str]) -> None:
        self.used: set[str] = set()
        self._suffixes = suffixes
        self._by_stem: dict[str, list[str]] = {}
        for name in names:
            if name.lower().endswith(tuple(suffixes)) and not name.startswith("."):
                self._by_stem.setdefault(Path(name).stem, []).append(name)

    def take(self, audio: Path, options: ReadingOptions) -> tuple[str, Path]:
        """Return the language that the name of a recording's file says, and the file.

        Raises:
            LeftOutError: the recording has none.
        """
        label, name = self._find(audio.stem, options)
        if not name:
            wanted = " or ".join(f"{audio.stem}{suffix}" for suffix in self._suffixes)
            raise LeftOutError("no transcript", f"no file {wanted}")
        self.used.add(name)
        return label, audio.with_name(name)

    def _find(self, stem: str, options: ReadingOptions) -> tuple[str, str]:
        if names := self._by_stem.get(stem):
            return "", names[0]
        found = {
            of_file.removeprefix(f"{stem}."): names[0]
            for of_file, names in self._by_stem.items()
            if of_file.startswith(f"{stem}.")
        }
        if not found:
            return "", ""
        label = options.language if options.language in found else min(found)
        return label, found[label]


def _one_recording(
    root: Path, audio: Path, sidecars: _Sidecars, parse: Parse, options: ReadingOptions
) -> Iterator[Recording | RejectedFile]:
    try:
        label, sidecar = sidecars.take(audio, options)
    except LeftOutError as error:
        yield left_out(audio, error.reason, error.value)
        return
    try:
        segments = parse(_content(sidecar, options.encoding), options)
    except LeftOutError as error:
        yield left_out(sidecar, error.reason, error.value)
        return
    if not segments:
        yield left_out(sidecar, "no transcript", "it has no segment with a text")
    for segment in _without_overlap(segments):
        place = f"{sidecar}:{segment.line}"
        try:
            if segment.fault[0]:
                raise LeftOutError(*segment.fault)
            yield _recording(root, audio, place, segment, label, options)
        except LeftOutError as error:
            yield left_out(place, error.reason, error.value)


def _content(path: Path, encoding: str) -> str:
    content = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else b""
    if not content.strip():
        raise LeftOutError("no transcript", f"{path.name} has {path.stat().st_size} bytes")
    name = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding
    try:
        return content.decode("utf-8-sig" if name.lower() == "utf-8" else name)
    except UnicodeDecodeError as error:
        raise LeftOutError(f"transcript is not {name.upper()}", f"{path.name}: {error}") from error


def _without_overlap(segments: list[Segment]) -> Iterator[Segment]:
    """Yield the segments by time, with a fault where they share more than they may."""
    ordered = sorted(segments, key=lambda segment: segment.start_sec)
    good = [segment for segment in ordered if not segment.fault[0]]
    before, shared = 0.0, {}
    for number, segment in enumerate(good):
        following = good[number + 1].start_sec if number + 1 < len(good) else segment.end_sec
        length = segment.end_sec - segment.start_sec
        overlap = max(before - segment.start_sec, segment.end_sec - following)
        shared[id(segment)] = min(overlap, length)
        before = max(before, segment.end_sec)
    for segment in ordered:
        overlap = shared.get(id(segment), 0.0)
        if overlap > MAX_OVERLAP_SEC:
            what = f"{overlap:.2f} s are in another segment too; at most {MAX_OVERLAP_SEC} s may be"
            yield replace(segment, fault=("segment overlaps another", what))
        else:
            yield segment


def _recording(
    root: Path, audio: Path, place: str, segment: Segment, label: str, options: ReadingOptions
) -> Recording:
    inside = audio.relative_to(root)
    start, duration = segment.start_sec, segment.end_sec - segment.start_sec
    name, key = segment_name(inside.as_posix(), start, round(duration, 6))
    folder = inside.parts[0] if len(inside.parts) > 1 else ""
    return Recording(
        key=safe_key(key),
        name=name,
        place=place,
        audio=audio,
        text=segment.text,
        start_sec=start,
        duration_sec=duration,
        language=language_of(label, options),
        speaker=segment.speaker or folder or options.speaker,
        source=root.absolute().name,
    )
