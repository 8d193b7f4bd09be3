"""Writer of corpora: clips into speaker blocks, blocks into shards (docs/corpus-format.md).

Two passes in bounded memory: clips are encoded into a spool on disk as they arrive, then each
language is written block by block in shuffled order.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gsv2.data.building.encode import ClipRecord, EncodedClip, ShardConfig
from gsv2.data.building.intake import Intake, IntakeConfig, Offered
from gsv2.data.building.offered import RecordedClip
from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.staging import staged_corpus
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.index_columns import AUDIO_SCHEMA
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    totals_by_language,
    write_manifest,
)
from gsv2.data.corpus.shard_writer import ShardWriter

_MIB = 1 << 20


def write_corpus(
    clips: Iterable[Offered],
    out: Path,
    config: ShardConfig | None = None,
    *,
    intake: IntakeConfig | None = None,
    overwrite: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a corpus; `out` appears complete or not at all.

    Args:
        clips: read once, never held together. Unusable ones are counted by reason in the
            manifest's `rejected`.
        out: corpus folder.
        config: how to cut it.
        intake: what is looked at in every clip besides; None: nothing.
        overwrite: replace a complete corpus at `out`.
        arguments: what the clips were made with; joins `config` in the manifest's `build`.

    Raises:
        CorpusError: `out` is in the way, or no clip was usable.
    """
    config = config or ShardConfig()
    with staged_corpus(out, overwrite=overwrite) as building:
        with (
            ClipSpool(building / ".spool") as spool,
            Intake(building, config, intake or IntakeConfig()) as taken,
        ):
            totals = _fill(spool, taken.accepted(clips))
            taken.leave_out_unlikely(spool)
            rejected = dict(sorted(taken.rejections.counts.items()))
            if not spool.languages:
                raise CorpusError(
                    f"{out}: no usable clip; rejected: {rejected}{taken.rejections.first}"
                )
            shards = list(_write_languages(spool, building, config))
        shutil.rmtree(building / ".spool")
        manifest = Manifest(
            shards=tuple(shards),
            languages=totals_by_language(shards),
            num_speakers=totals.num_speakers,
            build={
                **asdict(config),
                **(arguments or {}),
                "offered": taken.num_offered,
                "suspects": dict(sorted(taken.suspects.counts.items())),
                "trimmed_sec": round(totals.trimmed_sec, 3),
            },
            rejected=rejected,
        )
        _check_total(manifest, taken.num_offered)
        write_manifest(manifest, building)
    return manifest


def _check_total(manifest: Manifest, offered: int) -> None:
    """Check that every clip that was offered is in the shards or among the rejected."""
    rejected = sum(manifest.rejected.values())
    if manifest.num_clips + rejected != offered:
        raise CorpusError(
            f"{offered} clips were offered, but {manifest.num_clips} are in the shards and "
            f"{rejected} rejected: clips were lost, which is a fault of gsv2"
        )


class _Totals(NamedTuple):
    """Totals of accepted clips."""

    num_speakers: int
    trimmed_sec: float


def _fill(spool: ClipSpool, clips: Iterable[tuple[ClipRecord, EncodedClip]]) -> _Totals:
    """Spool all clips."""
    speakers: set[str] = set()
    trimmed_sec = 0.0
    for record, encoded in clips:
        spool.append(record.language, _voice(record), _head(record, encoded), encoded.audio)
        trimmed_sec += encoded.trimmed_sec
        if record.speaker:
            speakers.add(record.speaker)
    return _Totals(len(speakers), trimmed_sec)


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
