"""Extension of a corpus: clips are added as further shards, those that it has are not read.

What is new in an input is told by `gsv2.data.building.inputs`.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gsv2.data.building.checks import KnownClip
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.inputs import corpus_parts, note_inputs
from gsv2.data.building.intake import Intake, IntakeConfig, Offered
from gsv2.data.building.language_shards import CorpusPart, write_languages
from gsv2.data.building.shard_fingerprints import SUFFIX, read_fingerprints
from gsv2.data.building.shards import check_total, fill_spool
from gsv2.data.building.split import SplitConfig
from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.staging import staged_corpus
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import (
    Manifest,
    ShardEntry,
    read_manifest,
    totals_by_language,
    write_manifest,
)

logger = logging.getLogger(__name__)

_KNOWN = ("key", "duration_sec", "audio_length", "audio_crc32")
_LINKED = (".tar", ".parquet", SUFFIX)


def extend_corpus(clips: Iterable[Offered], out: Path, intake: IntakeConfig, new: Path) -> Manifest:
    """Add clips to a corpus, which stays as it was until they are all there.

    Its tars are linked, not copied, where the file system has links. New clips are checked against
    each other, and against keys and sounds of those that there are; their part is by the split
    that the corpus was built with.

    Args:
        clips: new ones; read once.
        out: corpus folder, or that of a split.
        intake: what is looked at in every new clip; its split is not.
        new: marks of the new clips, whole when these were read.

    Returns:
        The manifest of the training clips.

    Raises:
        CorpusError: there is no such corpus.
    """
    there = corpus_parts(out)
    before = {part: read_manifest(folder) for part, folder in there.items()}
    config, split = built_with(out)
    with staged_corpus(out, overwrite=True) as building:
        folders = {part: building / path.relative_to(out) for part, path in there.items()}
        if len(split.parts) > 1:
            folders = {part: building / part for part in split.parts}
        for part, folder in folders.items():
            _link(there.get(part), folder)
        with (
            ClipSpool(building / ".spool") as spool,
            Intake(folders["train"], config, replace(intake, split=split)) as taken,
        ):
            taken.know(_clips(there.values()))
            totals = fill_spool(spool, taken.accepted(clips), split)
            taken.leave_out_unlikely(spool)
            added = {
                part: list(
                    write_languages(
                        spool, folder, CorpusPart(part, _next(before.get(part))), config
                    )
                )
                for part, folder in folders.items()
            }
        shutil.rmtree(building / ".spool")
        written = sum(entry.num_clips for found in added.values() for entry in found)
        check_total(written, sum(taken.rejections.counts.values()), taken.num_offered)
        for part, folder in folders.items():
            if part not in before and not added[part]:
                shutil.rmtree(folder)
                continue
            speakers = totals.speakers.get(part, set())
            manifest = _with(before.get(part), added[part], there.get(part, folder), speakers)
            if part == "train":
                manifest = trained = _counted(manifest, taken, totals.trimmed_sec)
            write_manifest(manifest, folder)
        note_inputs(folders["train"], new)
    return trained


def built_with(out: Path) -> tuple[ShardConfig, SplitConfig]:
    """Return how a corpus was cut and split.

    Raises:
        CorpusError: there is none.
    """
    build = read_manifest(corpus_parts(out)["train"]).build
    config = {name: build[name] for name in ShardConfig.__dataclass_fields__ if name in build}
    split = build.get("split", {})
    return ShardConfig(**config), SplitConfig(
        **{name: split[name] for name in SplitConfig.__dataclass_fields__ if name in split}
    )


def _link(corpus: Path | None, folder: Path) -> None:
    """Give a folder the files of a corpus: tars and indexes as links, where there are links."""
    folder.mkdir(exist_ok=True)
    if corpus is None:
        return
    for path in sorted(corpus.rglob("*")):
        target = folder / path.relative_to(corpus)
        if path.is_dir():
            target.mkdir(exist_ok=True)
            continue
        if path.suffix in _LINKED:
            try:
                os.link(path, target)
                continue
            except OSError:  # a file system without links
                pass
        shutil.copyfile(path, target)


def _clips(folders: Iterable[Path]) -> Iterator[KnownClip]:
    """Yield the clips of corpora, from their indexes and fingerprints."""
    for folder in folders:
        index = CorpusIndex.open(SourceConfig(path=str(folder)))
        entries = read_manifest(folder).shards
        for shard, entry in zip(index.shards, entries, strict=True):
            columns = index.read(shard, _KNOWN).values()
            prints = read_fingerprints(folder, entry.name, entry.num_clips)
            if prints is None:
                logger.warning(
                    "%s has no %s%s: what is added is compared with its clips by bytes alone",
                    folder, entry.name, SUFFIX,
                )  # fmt: skip
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            for number, row in enumerate(rows):
                found = prints[number] if prints is not None and prints[number].any() else None
                yield KnownClip._make((*row, found))


def _next(before: Manifest | None) -> dict[str, int]:
    """Return language -> number of its next shard."""
    found: dict[str, int] = {}
    for entry in before.shards if before is not None else ():
        language, _, last = entry.name.rpartition("/")
        found[language] = max(found.get(language, 0), int(last.rpartition("-")[2]) + 1)
    return found


def _with(
    manifest: Manifest | None, added: list[ShardEntry], corpus: Path, speakers: set[str]
) -> Manifest:
    """Return the manifest of a part with its new shards.

    Args:
        manifest: what it was; None: there was no such part.
        added: new shards.
        corpus: where the part was.
        speakers: speakers of the new clips.
    """
    shards = sorted([*(manifest.shards if manifest else ()), *added], key=lambda e: e.name)
    labels = set(speakers)
    if manifest is not None:
        index = CorpusIndex.open(SourceConfig(path=str(corpus)))
        for shard in index.shards:
            labels.update(index.read(shard, ["speaker"])["speaker"].unique().to_pylist())
    return replace(
        manifest or Manifest(shards=()),
        shards=tuple(shards),
        languages=totals_by_language(shards),
        num_speakers=len(labels - {""}),
    )


def _counted(manifest: Manifest, taken: Intake, trimmed_sec: float) -> Manifest:
    """Return the manifest with what was offered and left out, then and now."""
    build = dict(manifest.build)
    build["offered"] = build.get("offered", 0) + taken.num_offered
    build["suspects"] = _sum(build.get("suspects", {}), taken.suspects.counts)
    build["trimmed_sec"] = round(build.get("trimmed_sec", 0.0) + trimmed_sec, 3)
    rejected = _sum(manifest.rejected, taken.rejections.counts)
    return replace(manifest, build=build, rejected=rejected)


def _sum(before: Mapping[str, int], added: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(before) + Counter(added)).items()))
