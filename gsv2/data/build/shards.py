"""Write corpora: clips into speaker blocks, blocks into shards (DESIGN.md section 3.1).

Two passes in bounded memory: clips are encoded into a spool on disk as they arrive, then each
language is written block by block in shuffled order.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gsv2.data.build.encode import ClipRecord, EncodedClip, ShardConfig
from gsv2.data.build.intake import Offered, Rejections, accepted_clips, leave_out_unlikely
from gsv2.data.build.offered import RecordedClip
from gsv2.data.build.spool import ClipSpool
from gsv2.data.build.staging import staged_corpus
from gsv2.data.build.text_rate import TextRateConfig, TextRates
from gsv2.data.code_format import CodeFormat
from gsv2.data.decode import ClipError, encode_codes
from gsv2.data.index import CorpusIndex
from gsv2.data.manifest import CorpusError, Manifest, ShardEntry, read_manifest, write_manifest
from gsv2.data.reader import MappedReader
from gsv2.data.schema import SAMPLE_RATE, SourceConfig
from gsv2.data.tars import AUDIO_SCHEMA, CODES_SCHEMA, ShardWriter

_MIB = 1 << 20


def write_corpus(
    clips: Iterable[Offered],
    out: Path,
    config: ShardConfig | None = None,
    *,
    overwrite: bool = False,
    arguments: Mapping[str, Any] | None = None,
    text_rate: TextRateConfig | None = None,
) -> Manifest:
    """Write a corpus; `out` appears complete or not at all.

    Args:
        clips: read once, never held together. Unusable ones are counted by reason in the
            manifest's `rejected`.
        out: corpus folder.
        config: how to cut it.
        overwrite: replace a complete corpus at `out`.
        arguments: what the clips were made with; joins `config` in the manifest's `build`.
        text_rate: which texts cannot be what is said; None: not checked.

    Raises:
        CorpusError: `out` is in the way, or no clip was usable.
    """
    config = config or ShardConfig()
    with staged_corpus(out, overwrite=overwrite) as building:
        rejections = Rejections(building / "rejected.jsonl")
        rates = None if text_rate is None else TextRates(text_rate)
        with ClipSpool(building / ".spool") as spool:
            num_speakers = _fill(spool, accepted_clips(clips, config, rejections, rates))
            if rates is not None:
                leave_out_unlikely(spool, rates, rejections)
            if not spool.languages:
                raise CorpusError(f"{out}: no usable clip; rejected: {dict(rejections.counts)}")
            shards = list(_write_languages(spool, building, config))
        shutil.rmtree(building / ".spool")
        manifest = Manifest(
            shards=tuple(shards),
            languages=_by_language(shards),
            num_speakers=num_speakers,
            build={**asdict(config), **(arguments or {})},
            rejected=dict(sorted(rejections.counts.items())),
        )
        write_manifest(manifest, building)
    return manifest


def _fill(spool: ClipSpool, clips: Iterable[tuple[ClipRecord, EncodedClip]]) -> int:
    """Spool all clips and return the number of speakers."""
    speakers: set[str] = set()
    for record, encoded in clips:
        spool.append(record.language, _voice(record), _head(record, encoded), encoded.audio)
        if record.speaker:
            speakers.add(record.speaker)
    return len(speakers)


def _voice(clip: ClipRecord) -> str:
    """Return what clips of one block share; "" for a clip alone."""
    return f"speaker {clip.speaker}" if clip.speaker else clip.recording


def _head(record: ClipRecord, clip: EncodedClip) -> bytes:
    file = record.file if isinstance(record, RecordedClip) else ""
    row = {
        "key": clip.key,
        "speaker": record.speaker,
        "language": record.language,
        "num_samples": clip.num_samples,
        "duration_sec": clip.num_samples / SAMPLE_RATE,
        "text_bytes": clip.text_bytes,
        "level_lufs": clip.level.lufs,
        "peak": clip.level.peak,
    }
    return json.dumps([row, clip.json.decode(), file]).encode()


def _write_languages(spool: ClipSpool, root: Path, config: ShardConfig) -> Iterator[ShardEntry]:
    for language in spool.languages:
        yield from _write_language(spool, language, root, config)


def _write_language(
    spool: ClipSpool, language: str, root: Path, config: ShardConfig
) -> Iterator[ShardEntry]:
    """Write the shards of one language."""
    rng = np.random.default_rng([config.seed, *language.encode()])
    blocks = spool.blocks(language, config.block_clips, rng)
    following = next(blocks, None)
    number = 0
    while following is not None:
        name = f"{language}/{config.name}-{number:06d}"
        seconds, block_number = 0.0, 0
        with ShardWriter(root, name, AUDIO_SCHEMA) as shard:
            while following is not None and shard.num_bytes < config.shard_mb * _MIB:
                for head, audio in following:
                    row, described, _ = json.loads(head)
                    members = {"audio": audio, "json": described.encode()}
                    shard.add(members=members, block=block_number, **row)
                    seconds += row["duration_sec"]
                following, block_number = next(blocks, None), block_number + 1
            yield shard.finish(seconds)
        number += 1


def _by_language(shards: Sequence[ShardEntry]) -> dict[str, dict[str, float]]:
    by_language = groupby(shards, key=lambda shard: shard.name.split("/")[0])
    totals = {}
    for language, group in by_language:
        entries = list(group)
        hours = sum(entry.seconds for entry in entries) / 3600.0
        totals[language] = {"clips": sum(e.num_clips for e in entries), "hours": hours}
    return totals


def write_codes(
    corpus: Path,
    out: Path,
    codes: Iterable[tuple[str, str, np.ndarray]],
    quantizer: str,
    *,
    codebook_size: int | None = None,
    code_rate_hz: float | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write sidecar tars with the codes of a corpus's clips; `out` appears complete or not at all.

    Args:
        corpus: the corpus whose audio was encoded.
        out: folder of the sidecar corpus.
        codes: (shard name, key, [K, T] codes) shard after shard in the order of the corpus, in
            any order inside a shard; clips that could not be encoded are left out. Codes of one
            shard are held in memory.
        quantizer: hash of the quantizer.
        codebook_size: of the quantizer, V; None = not known.
        code_rate_hz: of the quantizer; None = not known.
        overwrite: replace a complete sidecar at `out`.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, different
            numbers of codebooks, no codes at all, or a clip whose JSON cannot be read.
        ValueError: a code that is not below `codebook_size`.
    """
    audio = read_manifest(corpus)
    reader = _JsonReader(corpus)
    code_format = CodeFormat(codebook_size=codebook_size)
    num_codebooks: set[int] = set()
    shards = []
    with staged_corpus(out, overwrite=overwrite) as building:
        for entry, of_shard in _by_shard(audio.shards, codes):
            num_codebooks |= {len(array) for array in of_shard.values()}
            code_format.check_all(of_shard)
            shards.append(_write_codes_shard(reader, building, entry, of_shard))
        if len(num_codebooks) != 1:
            raise CorpusError(f"codes {out} must have one number of codebooks, not {num_codebooks}")
        manifest = Manifest(
            kind="codes",
            shards=tuple(shards),
            languages=_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": os.path.relpath(corpus.resolve(), out.resolve())},
            quantizer=quantizer,
            num_codebooks=num_codebooks.pop(),
            codebook_size=codebook_size,
            code_rate_hz=code_rate_hz,
        )
        write_manifest(manifest, building)
    return manifest


def _by_shard(
    shards: Sequence[ShardEntry], codes: Iterable[tuple[str, str, np.ndarray]]
) -> Iterator[tuple[ShardEntry, dict[str, np.ndarray]]]:
    """Yield every shard with its codes by key; none for a shard that is skipped."""
    groups = groupby(codes, key=lambda item: item[0])
    pending = next(groups, None)
    for entry in shards:
        of_shard: dict[str, np.ndarray] = {}
        if pending is not None and pending[0] == entry.name:
            of_shard = {key: array for _, key, array in pending[1]}
            pending = next(groups, None)
        yield entry, of_shard
    if pending is not None:
        raise CorpusError(f"codes of shard {pending[0]}: not a shard of the corpus, or too late")


class _JsonReader:
    """The clips of a corpus with the bytes of their JSON."""

    def __init__(self, corpus: Path) -> None:
        self._index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        self._reader = MappedReader(self._index, ())

    def shard(self, name: str) -> Iterator[tuple[str, float, int]]:
        """Yield key, seconds and row of the clips of one shard."""
        shard = next(shard for shard in self._index.shards if shard.name == name)
        seconds = self._index.numbers("duration_sec")
        for row in range(shard.start, shard.stop):
            yield self._index.key(row), float(seconds[row]), row

    def json(self, row: int) -> bytes:
        """Return the JSON of a clip; made of the index where that has its content."""
        if said := self._reader.places.shard(row).transcript(row):
            fields = dict(zip(("text", "language", "speaker"), said, strict=True))
            return json.dumps(fields, ensure_ascii=False).encode()
        try:
            return bytes(self._reader.read(row)["json"])
        except ClipError as error:
            raise CorpusError(f"clip {self._index.key(row)}: {error}") from error


def _write_codes_shard(
    reader: _JsonReader, root: Path, entry: ShardEntry, codes: dict[str, np.ndarray]
) -> ShardEntry:
    left = set(codes)
    total_sec = 0.0
    with ShardWriter(root, entry.name, CODES_SCHEMA) as shard:
        for key, seconds, row in reader.shard(entry.name):
            if key in codes:
                members = {"codes": encode_codes(codes[key]), "codes_json": reader.json(row)}
                shard.add(key, members, num_code_frames=codes[key].shape[1])
                total_sec += seconds
                left.discard(key)
        if left:
            raise CorpusError(f"codes of {sorted(left)[0]}: no such clip in {entry.name}")
        return shard.finish(total_sec, source_sha256=entry.sha256)
