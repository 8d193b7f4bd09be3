"""Corpora of a fit: one that exists or is built from recordings, and what is held out of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.staging import is_split
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.key_list import read_key_list
from gsv2.data.corpus.manifest import is_complete, read_manifest
from gsv2.data.corpus.part import share_of
from gsv2.evaluation.corpus_page import write_corpus_page
from gsv2.files import atomic_folder
from gsv2.storage.storage import Storage
from gsv2.training.telemetry.progress import counting_bar

CODES, CODES_UNALIGNED, CODES_SHIFTED = "codes", "codes_unaligned", "codes_shifted"
"""Folders of a fit: the codes; as they were before they were aligned; and those of the same clips
with their frames elsewhere in the sound."""
_HELD_OUT = ("heldout", "validation")
"""Names of corpora beside one named `train`."""
HELD_OUT_SHARE = 0.02
"""Share of a corpus that is held out, if nothing else is."""
_LEAST_CLIPS = 12
"""Clips that are held out of a small corpus, as far as `_MOST_SHARE` allows."""
_MOST_CLIPS = 400
"""Clips that are held out of a large one."""
_MOST_SHARE = 0.1
_COUNTED_CLIPS = 200_000
"""Clips of the largest corpus whose share is such that exactly as many as wanted are held out."""


@dataclass(frozen=True, kw_only=True)
class FitCorpora:
    """Where the clips lie; `codes` are added once they are made."""

    train: SourceConfig
    """Clips to train on."""
    held_out: SourceConfig
    """Clips to validate and judge on."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders, each once."""
        return tuple(dict.fromkeys((self.train.path, self.held_out.path)))

    def with_codes(self, out: Path, name: str = CODES) -> FitCorpora:
        """Return the same with the sidecar corpora of codes in `out/name`."""
        of_path = {path: str(codes_folder(out, i, name)) for i, path in enumerate(self.paths)}
        return FitCorpora(
            train=replace(self.train, codes=of_path[self.train.path]),
            held_out=replace(self.held_out, codes=of_path[self.held_out.path]),
        )


def codes_folder(out: Path, number: int, name: str = CODES) -> Path:
    """Return where the codes of a corpus of a fit lie."""
    return out / name / ("train", "heldout")[number]


def shifted_folder(out: Path, number: int) -> Path:
    """Return where the shifted codes of the training corpus lie, numbered from 1."""
    return out / CODES_SHIFTED / str(number)


def with_shifted_codes(train: SourceConfig, out: Path) -> list[SourceConfig]:
    """Return the training clips with their codes, and again with each of the shifted ones."""
    sources = [train]
    while is_complete(folder := shifted_folder(out, len(sources))):
        sources.append(replace(train, codes=str(folder)))
    return sources


def keep_codes(out: Path) -> None:
    """Keep the codes of a fit in `out/codes_unaligned` as they are now, as links if possible.

    An alignment replaces the files of a sidecar corpus; who trains on it meanwhile needs these.
    """
    if not (kept := out / CODES_UNALIGNED).exists():
        with atomic_folder(kept) as aside:
            shutil.copytree(out / CODES, aside, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def choose_corpora(
    corpus: Path, held_out: Path | None, leave_out: Path | None = None
) -> FitCorpora:
    """Return what trains and what is held out.

    Args:
        corpus: a corpus; of one named `train` beside one named `heldout` or `validation`, that one
            is held out.
        held_out: another corpus to hold out; None = that one, or a part of `corpus`.
        leave_out: list of clips of `corpus` that are neither trained on nor judged.

    Raises:
        ValueError: a corpus or the list is missing or damaged.
    """
    listed = None if leave_out is None else str(leave_out.resolve())
    if listed is not None:
        read_key_list(listed, Storage())
    for name in _HELD_OUT if held_out is None and corpus.name == "train" else ():
        if held_out is None and is_complete(corpus.parent / name):
            held_out = corpus.parent / name
    if held_out is not None:
        read_manifest(held_out)
        return FitCorpora(
            train=SourceConfig(path=str(corpus), leave_out=listed),
            held_out=SourceConfig(path=str(held_out)),
        )
    share = held_out_share(corpus)
    train = SourceConfig(path=str(corpus), part="train", held_out_share=share, leave_out=listed)
    return FitCorpora(train=train, held_out=replace(train, part="heldout"))


def held_out_share(corpus: Path) -> float:
    """Return the share of a corpus to hold out: a few clips of a small one, few of a large one.

    Raises:
        ValueError: it has a single clip.
    """
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    count = num_held_out(index.num_clips)
    if index.num_clips > _COUNTED_CLIPS:
        return count / index.num_clips
    return share_of((index.read(shard, ["key"])["key"] for shard in index.shards), count)


def num_held_out(num_clips: int) -> int:
    """Return how many clips of a corpus are held out, at least one."""
    wanted = min(max(HELD_OUT_SHARE * num_clips, _LEAST_CLIPS), _MOST_CLIPS)
    return max(1, round(min(_MOST_SHARE * num_clips, wanted)))


def build_if_needed(source: Path, out: Path, language: str | None) -> Path:
    """Return the corpus at `source`, or the one built at `out` from the recordings there.

    Args:
        source: corpus, or the folder of one that is split; or recordings in any layout that `gsv2
            corpus build` reads.
        out: folder of the corpus that is built; a build that was ended goes on.
        language: language of recordings that name none.

    Raises:
        ValueError: it is neither, or no recording can be used.
    """
    if is_complete(source):
        return source
    if is_split(source):
        return source / "train"
    if not source.exists():
        raise ValueError(f"{source} does not exist; name a corpus, or recordings with transcripts")
    if not is_complete(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with counting_bar("building the corpus") as progress:
            build_corpus(
                source,
                out,
                reading=ReadingOptions(language=language),
                run=BuildRun(progress=progress, report=write_corpus_page),
            )
    return out


def longest_clip_sec(corpora: FitCorpora) -> float:
    """Return the duration of the longest clip, from the indexes, shard by shard."""
    longest = 0.0
    for path in corpora.paths:
        index = CorpusIndex.open(SourceConfig(path=path))
        for shard in index.shards:
            seconds = index.read_numbers(shard, ["duration_sec"])["duration_sec"]
            longest = max(longest, float(seconds.max(initial=0.0)))
    return longest
