"""Writer of corpora: clips into speaker blocks, blocks into shards (docs/corpus-format.md).

Two passes in bounded memory: clips are encoded into a spool on disk as they arrive, then each
language is written block by block in shuffled order.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gsv2.data.building.encode import ClipRecord, EncodedClip, ShardConfig
from gsv2.data.building.intake import Intake, IntakeConfig, Offered
from gsv2.data.building.language_shards import CorpusPart, write_languages
from gsv2.data.building.offered import RecordedClip
from gsv2.data.building.split import PARTS, Part, SplitConfig
from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.staging import staged_corpus
from gsv2.data.building.statistics import measured_of
from gsv2.data.building.written_shards import WRITTEN_NAME, WrittenShards
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.manifest import (
    CorpusError,
    Manifest,
    ShardEntry,
    totals_by_language,
    write_manifest,
)

logger = logging.getLogger(__name__)


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
        out: corpus folder; where clips are held out, the folder of the parts' corpora `train`,
            `validation` and `test`, of which the first has `rejected.jsonl`.
        config: how to cut it.
        intake: what is looked at in every clip besides, and its part; None: nothing.
        overwrite: replace a complete corpus at `out`.
        arguments: what the clips were made with; joins `config` in the manifest's `build`.

    Returns:
        The manifest of the training clips.

    Raises:
        CorpusError: `out` is in the way, or no clip was usable.
    """
    config, intake = config or ShardConfig(), intake or IntakeConfig()
    with staged_corpus(out, overwrite=overwrite, progress=WRITTEN_NAME) as building:
        written = WrittenShards(building)
        folders = part_folders(building, intake.split)
        with (
            ClipSpool(building / ".spool") as spool,
            Intake(folders["train"], config, intake) as taken,
        ):
            totals = fill_spool(spool, taken.accepted(clips), intake.split)
            taken.leave_out_unlikely(spool)
            if not spool.languages:
                rejected = dict(sorted(taken.rejections.counts.items()))
                raise CorpusError(
                    f"{out}: no usable clip; rejected: {rejected}{taken.rejections.first}"
                )
            written.begin(spool, repr((config, intake.split)))
            shards = {
                part: list(write_languages(spool, folder, CorpusPart(part), config, written))
                for part, folder in folders.items()
            }
        shutil.rmtree(building / ".spool")
        common = {**asdict(config), **(arguments or {})}
        manifests = _manifests(shards, totals, common, taken, intake.split)
        num_written = sum(manifest.num_clips for manifest in manifests.values())
        check_total(num_written, sum(taken.rejections.counts.values()), taken.num_offered)
        for part, manifest in manifests.items():
            write_manifest(manifest, folders[part])
        for part in folders.keys() - manifests.keys():
            shutil.rmtree(folders[part])
    return manifests["train"]


def part_folders(out: Path, split: SplitConfig) -> dict[Part, Path]:
    """Return the folder of each part below `out`, made: `out` itself where nothing is held out."""
    if len(split.parts) == 1:
        return {"train": out}
    folders = {part: out / part for part in split.parts}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    return folders


def _manifests(
    shards: Mapping[Part, list[ShardEntry]],
    totals: Totals,
    common: dict[str, Any],
    taken: Intake,
    split: SplitConfig,
) -> dict[Part, Manifest]:
    """Return the manifests of the parts that hold clips; the first one tells what was left out."""
    counts = {part: sum(entry.num_clips for entry in found) for part, found in shards.items()}
    if not counts["train"]:
        raise CorpusError(f"no clip is left to train on: {counts}; hold out a smaller share")
    if len(counts) > 1:
        common = {**common, "split": {**asdict(split), "clips": counts}}
    of_train = {
        "offered": taken.num_offered,
        "suspects": dict(sorted(taken.suspects.counts.items())),
        "trimmed_sec": round(totals.trimmed_sec, 3),
    }
    found: dict[Part, Manifest] = {}
    for part, entries in shards.items():
        if not entries:
            logger.warning("no %s falls into %s: of %s", split.by, part, counts)
            continue
        is_train = part == "train"
        found[part] = Manifest(
            shards=tuple(entries),
            languages=totals_by_language(entries),
            num_speakers=len(totals.speakers.get(part, ())),
            build={**common, **of_train} if is_train else {**common, "part": part},
            rejected=dict(sorted(taken.rejections.counts.items())) if is_train else {},
        )
    return found


def check_total(written: int, rejected: int, offered: int) -> None:
    """Check that every clip that was offered is in the shards or among the rejected.

    Raises:
        CorpusError: clips were lost.
    """
    if written + rejected != offered:
        raise CorpusError(
            f"{offered} clips were offered, but {written} are in the shards and "
            f"{rejected} rejected: clips were lost, which is a fault of gsv2"
        )


class Totals(NamedTuple):
    """Totals of accepted clips."""

    speakers: dict[Part, set[str]]
    trimmed_sec: float


def fill_spool(
    spool: ClipSpool, clips: Iterable[tuple[ClipRecord, EncodedClip]], split: SplitConfig
) -> Totals:
    """Spool all clips."""
    speakers: dict[Part, set[str]] = {}
    trimmed_sec = 0.0
    for record, encoded in clips:
        part = split.part_of(record)
        head, number = _head(record, encoded), PARTS.index(part)
        spool.append(record.language, _voice(record), head, encoded.audio, number)
        trimmed_sec += encoded.trimmed_sec
        if record.speaker:
            speakers.setdefault(part, set()).add(record.speaker)
    return Totals(speakers, trimmed_sec)


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
    described = clip.json.decode()
    return json.dumps([row, described, file, measured_of(clip), clip.fingerprint]).encode()
