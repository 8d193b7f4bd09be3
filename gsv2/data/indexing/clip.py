"""Clip of an archive, a WebDataset that others made: what its members say, as a row of the index.

Members are grouped as webdataset does (`webdataset.tariterators.base_plus_ext`, `group_by_keys`):
the key is the path up to the first dot of its last part, the suffix is the rest in lower case.
Members of one clip follow each other, or are put together afterwards (`scattered`). Files of macOS,
such as AppleDouble's `._x.flac`, belong to no clip.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gsv2.audio.duration import measure_duration
from gsv2.audio.level import measure_level
from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.corpus.decode import ClipError, decode_codes, decode_json
from gsv2.data.corpus.format import SAMPLE_RATE, SIZE_LIMITS
from gsv2.data.indexing.format import ArchiveFormat
from gsv2.data.indexing.tar_walk import TarMember
from gsv2.text.language import LanguageError, canonical_language
from gsv2.text.normalize import TextError, normalize_text

PICKLE_SUFFIXES = frozenset({"pkl", "pickle", "pyd", "pt", "pth"})
"""Suffixes of members that could run code; they are never opened."""

_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_NAMED_SUFFIXES = 8
_NAMED_CHARACTERS = 40  # of a value that cannot be what it must
_META = re.compile(r"__[^/]*__($|/)")


@dataclass(kw_only=True)
class ArchiveClip:
    """The members of one clip."""

    key: str
    members: dict[str, TarMember] = field(default_factory=dict)
    """Suffix -> member; None as content of those that are not read."""
    repeated: str = ""
    """A suffix that it has twice."""


class IndexedClip(NamedTuple):
    """What the index gets to know of a clip."""

    row: dict[str, Any]
    """Column -> value; `block` is left to the caller, absent members are absent."""
    voice: tuple[str, ...]
    """What clips of one block share; () for a clip alone."""


def split_name(name: str) -> tuple[str, str] | None:
    """Return key and suffix of a member; None for one that belongs to no clip."""
    match = _NAME.fullmatch(name)
    hidden = name.rpartition("/")[2].startswith(("._", ".DS_Store"))
    if match is None or hidden or _META.match(name):
        return None
    return match[1], match[2].lower()


def group_clips(members: Iterable[TarMember], suffixes: frozenset[str]) -> Iterator[ArchiveClip]:
    """Yield the clips of a tar; contents of members with other suffixes are dropped at once."""
    clip: ArchiveClip | None = None
    for member in members:
        if (place := split_name(member.name)) is None:
            continue
        key, suffix = place
        if clip is None or key != clip.key:
            if clip is not None:
                yield clip
            clip = ArchiveClip(key=key)
        if suffix in clip.members:
            clip.repeated = suffix
        kept = member if suffix in suffixes else member._replace(content=None)
        clip.members.setdefault(suffix, kept)
    if clip is not None:
        yield clip


def index_clip(clip: ArchiveClip, shard: str, form: ArchiveFormat) -> IndexedClip:
    """Make the index row of a clip.

    Args:
        clip: clip as it lies in the tar.
        shard: name of the tar below the corpus, without suffix.
        form: places of what is needed.

    Raises:
        ClipError: it cannot be used; the reason is a fixed phrase.
    """
    _check_name(clip)
    audio = _first(clip, form.audio_suffixes, "no audio")
    fields = _json_fields(clip)
    text, language, speaker = _described(clip, shard, form, fields)
    row: dict[str, Any] = {
        "key": f"{shard}/{clip.key}" if form.prefix_keys else clip.key,
        "speaker": speaker,
        "language": language,
        **_audio_columns(_content(audio, "audio"), form.decode),
        "text_bytes": len(text.encode()),
        "text": None if _agrees_with_json(clip, text, language, speaker) else text,
        **_place(audio, "audio"),
    }
    if "json" in clip.members:
        row |= _place(clip.members["json"], "json")
    if codes := clip.members.get(form.codes_suffix):
        row |= _place(codes, "codes")
        row["num_code_frames"] = decode_codes(_content(codes, "codes")).shape[1]
    return IndexedClip(row, _voice(clip.key, language, speaker, form))


def _check_name(clip: ArchiveClip) -> None:
    if clip.key.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", clip.key):
        raise ClipError("member name leads out of the folder", "audio")
    if not clip.key.isprintable():  # also what was no UTF-8
        raise ClipError("key with characters that cannot be printed", "audio")
    if clip.repeated:
        raise ClipError("key with two members of one suffix", "audio")


def _first(clip: ArchiveClip, suffixes: Iterable[str], absent: str) -> TarMember:
    """Return the first member of these suffixes."""
    for suffix in suffixes:
        if suffix in clip.members:
            return clip.members[suffix]
    pickled = any(suffix.rpartition(".")[2] in PICKLE_SUFFIXES for suffix in clip.members)
    if pickled:
        raise ClipError(f"{absent}, but a pickle, which is never read", "audio")
    found = ", ".join(f".{suffix}" for suffix in sorted(clip.members)[:_NAMED_SUFFIXES])
    raise ClipError(f"{absent}; its members end with {found}", "audio")


def _content(member: TarMember, kind: str) -> bytes:
    if member.content is None or member.length > SIZE_LIMITS[kind]:
        raise ClipError("member above the size limit", kind)
    return member.content


def _place(member: TarMember, kind: str) -> dict[str, int]:
    crc32 = zlib.crc32(_content(member, kind))
    columns = {"offset": member.offset, "length": member.length, "crc32": crc32}
    return {f"{kind}_{name}": value for name, value in columns.items()}


def _json_fields(clip: ArchiveClip) -> dict[str, Any]:
    if "json" not in clip.members:
        return {}
    try:
        fields = json.loads(_content(clip.members["json"], "json"))
    except (ValueError, RecursionError) as error:
        raise ClipError(f"json cannot be read: {error}", "json") from error
    if not isinstance(fields, dict):
        raise ClipError(f"json is no object: {str(fields)[:_NAMED_CHARACTERS]}", "json")
    return fields


def _described(
    clip: ArchiveClip, shard: str, form: ArchiveFormat, fields: dict[str, Any]
) -> tuple[str, str, str]:
    """Return text, language and speaker."""
    text = lookup(fields, form.text_field)
    if not isinstance(text, str | None):
        raise ClipError(f"transcript is no text: {str(text)[:_NAMED_CHARACTERS]}", "json")
    if text is None:
        member = _first(clip, [form.text_suffix], "no transcript")
        try:
            text = _content(member, "json").decode()
        except UnicodeDecodeError as error:
            raise ClipError("transcript is not UTF-8", "json") from error
    try:
        text = normalize_text(text)
        text.encode()  # JSON can hold halves of surrogate pairs
    except (TextError, UnicodeEncodeError) as error:
        raise ClipError("no speech in the text", "json") from error
    folder = shard.rpartition("/")[0].rpartition("/")[2] if form.language_from_folder else ""
    label = _label(fields, form.language_field) or form.language or folder
    try:
        language = canonical_language(label)
    except LanguageError as error:
        raise ClipError(f"language is no tag like en or zh-Hant: {label!r}", "json") from error
    found = _group(form.speaker_pattern, clip.key)
    return text, language, _label(fields, form.speaker_field) or found or form.speaker


def lookup(fields: Mapping[str, Any], path: str) -> object:
    """Return the field at a path with dots; None if there is none. A name with dots goes first."""
    if path in fields:
        return fields[path]
    value: object = fields
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _label(fields: dict[str, Any], path: str) -> str:
    """Return a text or a number as a label; "" if there is none."""
    label = text_of(lookup(fields, path))
    return label if label.isprintable() else ""


def text_of(value: object) -> str:
    """Return a text or a whole number as text; "" for anything else."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value).strip() if isinstance(value, str) or whole else ""


def _agrees_with_json(clip: ArchiveClip, text: str, language: str, speaker: str) -> bool:
    """Tell whether the reader finds the same in the JSON, as in our own corpora."""
    if "json" not in clip.members:
        return False
    try:
        said, *others = decode_json(_content(clip.members["json"], "json"))
        return (normalize_text(said), *others) == (text, language, speaker)
    except (ClipError, TextError):
        return False


def _audio_columns(content: bytes, decode: bool) -> dict[str, float | int]:
    """Return the columns that the audio gives: its length, and its level if it is decoded."""
    try:
        if not decode:
            duration_sec = measure_duration(content)
            return {"duration_sec": duration_sec, "num_samples": round(duration_sec * SAMPLE_RATE)}
        wave = load_wave(content, SAMPLE_RATE)
        level = measure_level(wave, SAMPLE_RATE)
    except WaveError as error:
        raise ClipError(f"audio {error.reason}", "audio") from error
    return {
        "duration_sec": len(wave) / SAMPLE_RATE,
        "num_samples": len(wave),
        "level_lufs": level.lufs,
        "peak": level.peak,
    }


def _group(pattern: str, key: str) -> str:
    match = re.search(pattern, key) if pattern else None
    return (match[1] or "") if match else ""


def _voice(key: str, language: str, speaker: str, form: ArchiveFormat) -> tuple[str, ...]:
    if speaker:
        return (language, "speaker", speaker)
    recording = _group(form.recording_pattern, key)
    return (language, "recording", recording) if recording else ()
