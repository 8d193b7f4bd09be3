"""Write corpora: clips into speaker blocks, blocks into shards (DESIGN.md section 3.1).

Two passes in bounded memory: clips are encoded into a spool on disk as they arrive, then each
language is written block by block in shuffled order.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from gsv2.data.decode import encode_codes
from gsv2.data.encode import ClipRecord, EncodedClip, Rejected, ShardConfig, encode_clip
from gsv2.data.manifest import CorpusError, Manifest, ShardEntry, read_manifest, write_manifest
from gsv2.data.schema import SAMPLE_RATE
from gsv2.data.spool import ClipSpool
from gsv2.data.staging import staged_corpus
from gsv2.data.tars import CLIP_SCHEMA, CODES_SCHEMA, ShardWriter

_MIB = 1 << 20


def write_corpus(
    clips: Iterable[ClipRecord | Rejected],
    out: Path,
    config: ShardConfig | None = None,
    *,
    overwrite: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a corpus; `out` appears complete or not at all.

    Args:
        clips: read once, never held together. Unusable ones are counted by reason in the
            manifest's `rejected`.
        out: corpus folder.
        config: how to cut it.
        overwrite: replace a complete corpus at `out`.
        arguments: what the clips were made with; joins `config` in the manifest's `build`.

    Raises:
        CorpusError: `out` is in the way, or no clip was usable.
    """
    config = config or ShardConfig()
    with staged_corpus(out, overwrite=overwrite) as building:
        rejections = _Rejections(building / "rejected.jsonl")
        with ClipSpool(building / ".spool") as spool:
            num_speakers = _fill(spool, _accepted(clips, config, rejections))
            if not spool.languages:
                raise CorpusError(f"{out}: no usable clip; rejected: {dict(rejections.counts)}")
            shards = [
                shard
                for language in spool.languages
                for shard in _write_language(spool, language, building, config)
            ]
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


class _Rejections:
    """Clips that are left out: counted, and named in `rejected.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._path = path

    def add(self, clip: Rejected) -> None:
        self.counts[clip.reason] += 1
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")


def _accepted(
    clips: Iterable[ClipRecord | Rejected], config: ShardConfig, rejections: _Rejections
) -> Iterator[tuple[ClipRecord, EncodedClip]]:
    seen: set[bytes] = set()  # of key hashes, about 60 bytes a clip
    for clip in clips:
        if isinstance(clip, Rejected):
            rejections.add(clip)
            continue
        encoded = encode_clip(clip, config)
        mark = blake2b(clip.key.encode(), digest_size=12).digest()
        if isinstance(encoded, Rejected):
            rejections.add(encoded)
        elif mark in seen:
            rejections.add(Rejected(key=clip.key, reason="key used twice"))
        else:
            seen.add(mark)
            yield clip, encoded


def _voice(clip: ClipRecord) -> str:
    """Return what clips of one block share; "" for a clip alone."""
    return f"speaker {clip.speaker}" if clip.speaker else clip.recording


def _head(record: ClipRecord, clip: EncodedClip) -> bytes:
    row = {
        "key": clip.key,
        "speaker": record.speaker,
        "language": record.language,
        "num_samples": clip.num_samples,
        "duration_sec": clip.num_samples / SAMPLE_RATE,
        "text_bytes": clip.text_bytes,
    }
    return json.dumps([row, clip.json.decode()]).encode()


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
        with ShardWriter(root, name, CLIP_SCHEMA) as shard:
            while following is not None and shard.num_bytes < config.shard_mb * _MIB:
                for head, audio in following:
                    row, described = json.loads(head)
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
        overwrite: replace a complete sidecar at `out`.

    Raises:
        CorpusError: a shard or key that the corpus does not have, shards out of order, different
            numbers of codebooks, or no codes at all.
    """
    audio = read_manifest(corpus)
    by_shard = groupby(codes, key=lambda item: item[0])
    pending = next(by_shard, None)
    num_codebooks: set[int] = set()
    shards = []
    with staged_corpus(out, overwrite=overwrite) as building:
        for entry in audio.shards:
            of_shard: dict[str, np.ndarray] = {}
            if pending is not None and pending[0] == entry.name:
                of_shard = {key: array for _, key, array in pending[1]}
                pending = next(by_shard, None)
            num_codebooks |= {len(array) for array in of_shard.values()}
            shards.append(_write_codes_shard(corpus, building, entry, of_shard))
        if pending is not None:
            raise CorpusError(f"codes of shard {pending[0]}: not a shard of {corpus}, or too late")
        if len(num_codebooks) != 1:
            raise CorpusError(f"codes {out} must have one number of codebooks, not {num_codebooks}")
        manifest = Manifest(
            kind="codes",
            shards=tuple(shards),
            languages=_by_language(shards),
            num_speakers=audio.num_speakers,
            build={"corpus": str(corpus)},
            quantizer=quantizer,
            num_codebooks=num_codebooks.pop(),
        )
        write_manifest(manifest, building)
    return manifest


def _write_codes_shard(
    corpus: Path, root: Path, entry: ShardEntry, codes: dict[str, np.ndarray]
) -> ShardEntry:
    table = pq.read_table(corpus / f"{entry.name}.parquet", columns=["key", "duration_sec"])
    keys, durations = table["key"].to_pylist(), table["duration_sec"].to_pylist()
    if unknown := codes.keys() - set(keys):
        raise CorpusError(f"codes of {sorted(unknown)[0]}: no such clip in {entry.name}")
    seconds = 0.0
    with ShardWriter(root, entry.name, CODES_SCHEMA) as shard:
        for key, duration in zip(keys, durations, strict=True):
            if key in codes:
                content = encode_codes(codes[key])
                shard.add(key, {"codes": content}, num_code_frames=codes[key].shape[1])
                seconds += duration
        return shard.finish(seconds, source_sha256=entry.sha256)
