"""Recordings in WebDatasets that others made: tars of audio beside JSON or text.

`gsv2 corpus index` trains on such tars where they lie, without a copy; this reader makes our own
corpus of them: one rate, one level, clips of a speaker side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsv2.data.building.keys import safe_key
from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile, left_out
from gsv2.data.building.readers.folders import left_alone, walk_folders
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.readers.json_fields import described
from gsv2.data.building.readers.lines import needed_text
from gsv2.data.building.readers.reader import Listed, ReadingOptions, language_of
from gsv2.data.building.suffixes import AUDIO
from gsv2.data.indexing.clip import split_name
from gsv2.data.indexing.corpus import ADVICE, is_packed
from gsv2.data.indexing.tar_walk import TarDamageError, TarMember, TarWalk

_TEXTS = ("txt", "normalized.txt", "text.txt", "lab")
"""Suffixes of transcripts, where the JSON has none."""
_JSON = "json"
_NAMED_SUFFIXES = 8

Members = dict[str, TarMember]
"""Suffix -> member of a clip."""


@dataclass(frozen=True)
class TarPart:
    """Audio that is a member of a tar."""

    path: Path
    name: str
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the content of the member."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.length)
        if len(content) < self.length:
            raise LeftOutError("audio cannot be read", f"{self.name}: {self.path} was cut since")
        return content


class WebDatasetReader:
    """Tars of any WebDataset."""

    name = "webdataset"
    layout = "*.tar with KEY.flac (or any audio) and KEY.json or KEY.txt"
    precedes: tuple[str, ...] = ()

    def recognise(self, look: Glance) -> str | None:
        """Return a tar."""
        tars = [name for name in look.names if name.suffix == ".tar"]
        advice = "`gsv2 corpus index` would use them where they lie, without a copy"
        return f"{tars[0]} is a tar; {advice}" if tars else None

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield the clips of each tar, and what else is in the folder."""
        if source.is_file():
            yield from tar_recordings(source, source.parent, options)
            return
        for folder, names in walk_folders(source):
            for path in (folder / name for name in names):
                yield from file_recordings(path, source, options) or (left_alone(path, "no tar"),)


def file_recordings(path: Path, root: Path, options: ReadingOptions) -> Listed | None:
    """Return the clips of a tar, or the line that names a compressed one; None for others."""
    if path.suffix == ".tar" and not path.name.startswith("."):
        return tar_recordings(path, root, options)
    if is_packed(path.name.lower()):
        return iter([left_alone(path, ADVICE)])
    return None


def tar_recordings(path: Path, root: Path, options: ReadingOptions) -> Listed:
    """Yield the clips of a tar, whose audio is not read, and the clips that are none."""
    shard = path.relative_to(root).with_suffix("").as_posix()
    for key, members in _clips(path, options):
        if isinstance(members, RejectedFile):
            yield members
            continue
        place = f"{path}:{key}"
        try:
            yield _recording(path, shard, key, members, options)
        except LeftOutError as error:
            yield left_out(place, error.reason, error.value, key)


def _clips(path: Path, options: ReadingOptions) -> Iterator[tuple[str, Members | RejectedFile]]:
    """Yield key and members of each clip; those whose members lie apart come last."""
    apart: dict[str, Members] = {}
    key, members = "", Members()
    wanted = _wanted(options)
    with path.open("rb") as file:
        walk = TarWalk(file, wanted=lambda name: _suffix(name) in wanted)
        try:
            for member in walk:
                if (place := split_name(member.name)) is None:
                    continue
                if place[0] != key:
                    if _is_whole(members, wanted) and key not in apart:
                        yield key, members
                    elif members:
                        apart.setdefault(key, {}).update(members)
                    key, members = place[0], Members()
                members[place[1]] = member
        except TarDamageError as error:
            yield "", left_out(path, "tar is damaged", f"{error}; what lies before it is read")
        else:
            if not key and not walk.links:
                yield "", left_out(path, "tar holds no clip", f"{path.stat().st_size} bytes")
    for name, target in walk.links.items():
        why = f"it leads to {target}; `gsv2 corpus index` follows links"
        yield "", left_out(f"{path}:{name}", "member is a link", why)
    if members:
        apart.setdefault(key, {}).update(members)
    yield from apart.items()


def _wanted(options: ReadingOptions) -> tuple[str, ...]:
    given = options.columns.get("text", "")
    return (*_TEXTS, _JSON, *((given,) if given else ()))


def _suffix(name: str) -> str:
    place = split_name(name)
    return place[1] if place is not None else ""


def _is_whole(members: Members, wanted: tuple[str, ...]) -> bool:
    return _audio(members, "") is not None and any(suffix in members for suffix in wanted)


def _audio(members: Members, given: str) -> TarMember | None:
    if given:
        return members.get(given)
    return next(
        (m for suffix, m in members.items() if f".{suffix.rpartition('.')[2]}" in AUDIO), None
    )


def _recording(
    path: Path, shard: str, key: str, members: Members, options: ReadingOptions
) -> Recording:
    audio = _audio(members, options.columns.get("audio", ""))
    if audio is None:
        raise LeftOutError("no audio", _found(members))
    content = members[_JSON].content if _JSON in members else None
    fields = described(content, options.columns) if content is not None else {}
    text = fields.get("text") or _text(members, options)
    name = audio.name.rpartition("/")[2]
    return Recording(
        key=safe_key(key),
        name=f"{shard}/{key}",
        place=f"{path}:{key}",
        audio=TarPart(path, name, audio.offset, audio.length),
        text=needed_text(text),
        language=language_of(fields.get("language", ""), options),
        speaker=fields.get("speaker") or options.speaker,
        source=fields.get("source") or shard.partition("/")[0],
        licence=fields.get("licence", ""),
    )


def _text(members: Members, options: ReadingOptions) -> str:
    for suffix in _wanted(options):
        if suffix != _JSON and suffix in members and (content := members[suffix].content):
            try:
                return content.decode(options.encoding)
            except UnicodeDecodeError as error:
                what = f"{members[suffix].name}: {error}"
                raise LeftOutError(f"transcript is not {options.encoding.upper()}", what) from error
    raise LeftOutError("no transcript", _found(members))


def _found(members: Members) -> str:
    return f"members end with {', '.join(f'.{name}' for name in sorted(members)[:_NAMED_SUFFIXES])}"
