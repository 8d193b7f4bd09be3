"""Demo corpus: 22 voices of espeak-ng in six languages and five scripts.

Every clip is a pure function of the arguments. Held-out clips are new combinations of trained
words, spoken by voices that never train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gsv2.data.building.shards import ClipRecord, ShardConfig, write_corpus
from gsv2.data.corpus.manifest import Manifest, is_complete, read_manifest
from gsv2.quickstart.demo_audio import render
from gsv2.quickstart.demo_plan import DemoClip, plan_demo

_GENERATION = 3
"""Raised whenever the same arguments give another corpus, so that old ones are not reused."""

Progress = Callable[[int, int], None]
"""Function of the number of clips done and the number of all."""


class DemoCorpus(NamedTuple):
    """Manifests of the two corpora."""

    train: Manifest
    heldout: Manifest


def make_demo_corpus(
    out: Path, *, seed: int = 0, minutes: float = 45.0, progress: Progress | None = None
) -> DemoCorpus:
    """Write the corpora `out/train` and `out/heldout`, or reuse them.

    A corpus that was made with the same arguments stays as it is; another one is replaced when
    its successor is complete.

    Args:
        out: folder of both.
        seed: seed of sentences, noise and shard order.
        minutes: length of the training speech, about; three more are held out.
        progress: called after each clip.

    Raises:
        EspeakError: espeak-ng is not installed.
        CorpusError: something else is in the way.
        ValueError: more minutes than there are sentences for.
    """
    plan = plan_demo(seed, minutes)
    total = len(plan.train) + len(plan.heldout)
    manifests = []
    done = 0
    for split, planned in (("train", plan.train), ("heldout", plan.heldout)):
        arguments = {"generation": _GENERATION, "minutes": float(minutes), "split": split}
        config = ShardConfig(name=split, seed=seed)
        manifest = _find(out / split, {**arguments, "seed": seed})
        if manifest is None:
            clips = _counted(demo_clips(planned, seed), progress, done, total)
            manifest = write_corpus(clips, out / split, config, overwrite=True, arguments=arguments)
        done += len(planned)
        if progress:
            progress(done, total)
        manifests.append(manifest)
    return DemoCorpus(*manifests)


def demo_clips(clips: Sequence[DemoClip], seed: int) -> Iterator[ClipRecord]:
    """Speak clips one by one."""
    for clip in clips:
        yield ClipRecord(
            key=clip.key,
            wave=render(clip, seed),
            text=clip.text,
            language=clip.grammar.language,
            speaker=clip.speaker,
            source="espeak-ng, gsv2 demo corpus",
            licence="CC0-1.0",
        )


def _find(corpus: Path, arguments: Mapping[str, Any]) -> Manifest | None:
    """Return the description of a finished corpus that was made with these arguments."""
    if not is_complete(corpus):
        return None
    manifest = read_manifest(corpus)
    same = all(manifest.build.get(name) == value for name, value in arguments.items())
    return manifest if same else None


def _counted(
    clips: Iterator[ClipRecord], progress: Progress | None, done: int, total: int
) -> Iterator[ClipRecord]:
    for number, clip in enumerate(clips, start=done):
        if progress:
            progress(number, total)
        yield clip
