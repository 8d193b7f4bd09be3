"""Manifest of a corpus, corpus.json: written last, so that it also says that it is complete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.format import FORMAT_VERSION, SAMPLE_RATE
from gsv2.data.corpus.manifest_values import check_manifest_values
from gsv2.files import write_atomically
from gsv2.storage.storage import Storage

MANIFEST_NAME = "corpus.json"
MAX_MANIFEST_BYTES = 512 << 20
"""Most bytes of a corpus.json that are read from a server: more than a million shards."""


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
    """SHA-256 of the tar."""
    source_sha256: str | None = None
    """SHA-256, for codes, of the audio tar that they were made from."""
    language: str | None = None
    """Language of its clips, `mul` (ISO 639-3) if they have several; None = its folder."""
    licences: Mapping[str, float] | None = None
    """Licence -> seconds of its clips, "" where they name none; None = nobody has looked."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of corpus.json."""

    kind: Literal["audio", "codes", "texts"] = "audio"
    """`codes` and `texts` (text vectors) are sidecars of an audio corpus."""
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
    """Hash of the quantizer that made the codes."""
    num_codebooks: int | None = None
    """Number of codebooks of the codes, K."""
    codebook_size: int | None = None
    """Size of a codebook, V, above every code; None in older corpora."""
    code_rate_hz: float | None = None
    """Code frames a second; None in older corpora."""
    shift_samples: int = 0
    """Samples that were left out at the start of each clip before it was encoded: its codes are
    those of the rest, which is what is read of its audio beside them."""
    aligner: str | None = None
    """Hash of the aligner that aligned the codes with their texts; None = nobody did."""
    text_encoder: str | None = None
    """Hash of the frozen text encoder that made the text vectors."""
    text_dim: int | None = None
    """Dimension of the text vectors."""
    feature_stats: tuple[Mapping[str, Any], ...] = ()
    """Statistics of speech features that were computed over the audio: the encoder's identity,
    `num_frames` and `file`."""

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

    @property
    def licences(self) -> dict[str, float]:
        """Licence -> hours; "" holds the clips that name none, and those nobody has looked at."""
        hours: dict[str, float] = {}
        for shard in self.shards:
            for licence, seconds in (shard.licences or {"": shard.seconds}).items():
                hours[licence] = hours.get(licence, 0.0) + seconds / 3600.0
        return dict(sorted(hours.items()))


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
        **({"licences": manifest.licences} if manifest.kind == "audio" else {}),
        **asdict(manifest),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_atomically(corpus / MANIFEST_NAME, text)


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
        content = storage.read(path, MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        there = "it has no corpus.json: not a corpus, or never finished"
        absent = storage.is_local(str(corpus)) and not Path(corpus).is_dir()
        raise CorpusError(f"corpus {corpus}: {'no such folder' if absent else there}") from error
    except OSError as error:
        raise CorpusError(f"corpus {corpus} cannot be read: {error}") from error
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:  # also of a number with too many digits
        raise CorpusError(f"{path} is not valid JSON: {error}") from error
    if isinstance(values, dict):
        version, rate = values.get("format_version"), values.get("sample_rate")
        if None not in (version, rate) and (version, rate) != (FORMAT_VERSION, SAMPLE_RATE):
            raise CorpusError(
                f"{path} must have format version {FORMAT_VERSION} and {SAMPLE_RATE} Hz, "
                f"but has {version!r} and {rate!r}"
            )
        if None in (version, rate):
            missing = "format_version" if version is None else "sample_rate"
            raise CorpusError(f"{path} is no corpus description: {missing} is missing")
    try:
        check_manifest_values(values)
    except ValueError as error:
        raise CorpusError(f"{path}: {error}") from error
    known = {name: values[name] for name in Manifest.__dataclass_fields__ if name in values}
    known["shards"] = tuple(ShardEntry(**shard) for shard in values["shards"])
    known["feature_stats"] = tuple(values.get("feature_stats", ()))
    return Manifest(**known)


def read_kind(corpus: str, kind: str, storage: Storage) -> Manifest:
    """Read the corpus.json of a corpus that is to be read.

    Raises:
        CorpusError: what `read_manifest` raises, another kind, no shards, or one listed twice.
    """
    manifest = read_manifest(corpus, storage)
    if manifest.kind != kind:
        raise CorpusError(f"corpus {corpus} must hold {kind}, but holds {manifest.kind}")
    names = Counter(shard.name for shard in manifest.shards)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise CorpusError(f"corpus {corpus}: {MANIFEST_NAME} lists shard {repeated[0]} twice")
    if not names:
        raise CorpusError(f"corpus {corpus}: {MANIFEST_NAME} lists no shards")
    return manifest


def check_same_shards(corpus: str, audio: Manifest, codes_of: str, codes: Manifest) -> None:
    """Check that codes, or text vectors, were made from the shards of a corpus.

    Args:
        corpus: folder of the corpus, for messages.
        audio: what its corpus.json says.
        codes_of: folder of the codes, for messages.
        codes: what their corpus.json says.

    Raises:
        CorpusError: names the first shard that has none, or was another when they were made.
    """
    what = "codes" if codes.kind == "codes" else "text vectors"
    made_from = {shard.name: shard.source_sha256 for shard in codes.shards}
    for shard in audio.shards:
        if shard.name not in made_from:
            raise CorpusError(f"{what} {codes_of} lack shard {shard.name} of {corpus}")
        if made_from[shard.name] != shard.sha256:
            raise CorpusError(
                f"{what} {codes_of} of shard {shard.name} were made from another tar than the "
                f"one in {corpus}; make the {what} again"
            )


def common_code_format(wanted: CodeFormat, formats: Mapping[str, CodeFormat]) -> CodeFormat:
    """Return the format of the codes of all sources.

    Args:
        wanted: format that the reader of the codes asks for.
        formats: folder of codes -> their format as corpus.json says.

    Raises:
        CorpusError: codes of another format than `wanted` or than codes of another source.
    """
    for codes, found in formats.items():
        if differences := found.differences(wanted):
            raise CorpusError(f"codes {codes}: corpus.json says {', '.join(differences)}")
        wanted = wanted.filled_from(found)
    return wanted


def totals_by_language(shards: Sequence[ShardEntry]) -> dict[str, dict[str, float]]:
    """Return language -> `clips` and `hours` of shards that lie in folders of languages."""
    by_language = groupby(shards, key=lambda shard: shard.name.split("/")[0])
    totals = {}
    for language, group in by_language:
        entries = list(group)
        hours = sum(entry.seconds for entry in entries) / 3600.0
        totals[language] = {"clips": sum(e.num_clips for e in entries), "hours": hours}
    return totals
