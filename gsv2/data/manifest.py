"""corpus.json: what a corpus holds, written last, so that it also says that it is complete."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gsv2.data.code_format import CodeFormat
from gsv2.data.remote.storage import Storage
from gsv2.data.schema import FORMAT_VERSION, SAMPLE_RATE
from gsv2.files import write_whole

MANIFEST_NAME = "corpus.json"
_LATER = frozenset({"codebook_size", "code_rate_hz"})
"""What older files lack."""


class CorpusError(ValueError):
    """A corpus that cannot be read or written; the message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One tar."""

    name: str
    """Path without suffix below the corpus: `LANG/NAME-000000`."""
    num_clips: int
    seconds: float
    """Duration of its clips."""
    num_bytes: int
    sha256: str
    """Of the tar."""
    source_sha256: str | None = None
    """For codes: SHA-256 of the audio tar that they were made from."""
    language: str | None = None
    """Of its clips, `mul` (ISO 639-3) if they have several; None = the folder that it lies in."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of corpus.json."""

    kind: Literal["audio", "codes"] = "audio"
    shards: tuple[ShardEntry, ...]
    languages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Language -> `clips` and `hours`."""
    num_speakers: int = 0
    """Different speaker labels, over all languages."""
    build: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that it was built with."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Reason -> clips that were offered and left out."""
    quantizer: str | None = None
    """For codes: hash of the quantizer that made them."""
    num_codebooks: int | None = None
    """For codes: K."""
    codebook_size: int | None = None
    """For codes: V, above every code; None in corpora of before it was written."""
    code_rate_hz: float | None = None
    """For codes: frames a second; None in corpora of before it was written."""

    @property
    def code_format(self) -> CodeFormat:
        """What its codes have in common."""
        return CodeFormat(self.num_codebooks, self.codebook_size, self.code_rate_hz)

    @property
    def num_clips(self) -> int:
        """Clips in all shards."""
        return sum(shard.num_clips for shard in self.shards)

    @property
    def hours(self) -> float:
        """Duration of all clips."""
        return sum(shard.seconds for shard in self.shards) / 3600.0


def is_complete(corpus: Path) -> bool:
    """Tell whether a corpus was written to its end."""
    return (corpus / MANIFEST_NAME).is_file()


def write_manifest(manifest: Manifest, corpus: Path) -> None:
    """Write corpus.json, with the totals that people look for first."""
    values = {
        "format_version": FORMAT_VERSION,
        "sample_rate": SAMPLE_RATE,
        "num_clips": manifest.num_clips,
        "hours": manifest.hours,
        "num_bytes": sum(shard.num_bytes for shard in manifest.shards),
        **asdict(manifest),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_whole(corpus / MANIFEST_NAME, text)


def read_manifest(corpus: str | Path, storage: Storage | None = None) -> Manifest:
    """Read corpus.json.

    Args:
        corpus: folder, or URL that `storage` can read.
        storage: None for local folders.

    Raises:
        CorpusError: no such corpus, not complete, or of another format.
    """
    storage = storage or Storage()
    path = storage.join(str(corpus), MANIFEST_NAME)
    try:
        content = storage.read(path)
    except FileNotFoundError as error:
        there = "it has no corpus.json: not a corpus, or never finished"
        absent = storage.is_local(str(corpus)) and not Path(corpus).is_dir()
        raise CorpusError(f"corpus {corpus}: {'no such folder' if absent else there}") from error
    except OSError as error:
        raise CorpusError(f"corpus {corpus} cannot be read: {error}") from error
    try:
        values = json.loads(content)
        version, rate = values["format_version"], values["sample_rate"]
        if version != FORMAT_VERSION or rate != SAMPLE_RATE:
            raise CorpusError(
                f"{path} must have format version {FORMAT_VERSION} and {SAMPLE_RATE} Hz, "
                f"but has {version!r} and {rate!r}"
            )
        fields = Manifest.__dataclass_fields__
        known = {name: values[name] for name in fields if name in values or name not in _LATER}
        known["shards"] = tuple(
            _read_entry(shard, f"{path}: shards[{number}]")
            for number, shard in enumerate(values["shards"])
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorpusError(f"{path} is not valid JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{path} is no corpus description: {error}") from error
    _check_code_format(known, path)
    return Manifest(**known)


def common_code_format(wanted: CodeFormat, formats: Mapping[str, CodeFormat]) -> CodeFormat:
    """Return the format of the codes of all sources.

    Args:
        wanted: that the reader of the codes asks for.
        formats: folder of codes -> their format as corpus.json says.

    Raises:
        CorpusError: codes of another format than `wanted` or than codes of another source.
    """
    for codes, found in formats.items():
        if differences := found.differences(wanted):
            raise CorpusError(f"codes {codes}: corpus.json says {', '.join(differences)}")
        wanted = wanted.filled_from(found)
    return wanted


def _check_code_format(values: Mapping[str, Any], path: str) -> None:
    """Check the numbers of codes, each of which may be null.

    Raises:
        CorpusError: names the key.
    """
    for key, kinds in (
        ("num_codebooks", int),
        ("codebook_size", int),
        ("code_rate_hz", int | float),
    ):
        number = values.get(key)
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, kinds) or not 0 < number < 1 << 62:
            noun = "whole number" if kinds is int else "number"
            raise CorpusError(f"{path}: {key} must be a {noun} above 0, but is {number!r}")


def _read_entry(values: object, place: str) -> ShardEntry:
    """Return a shard of corpus.json.

    Raises:
        CorpusError: a value is of the wrong type or out of range; names its place.
    """
    if not isinstance(values, dict):
        raise CorpusError(f"{place} must be an object, but is {values!r}")
    entry = ShardEntry(**values)
    parts = entry.name.replace("\\", "/").split("/") if isinstance(entry.name, str) else [""]
    if "" in parts or ".." in parts:
        raise CorpusError(f"{place}.name must be a path below the corpus, but is {entry.name!r}")
    for key in ("num_clips", "num_bytes"):
        number = getattr(entry, key)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 62:
            raise CorpusError(f"{place}.{key} must be a whole number from 0, but is {number!r}")
    seconds = entry.seconds
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < math.inf:
        raise CorpusError(f"{place}.seconds must be a number from 0, but is {seconds!r}")
    if not isinstance(entry.sha256, str):
        raise CorpusError(f"{place}.sha256 must be a text, but is {entry.sha256!r}")
    return entry
