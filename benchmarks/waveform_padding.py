"""BENCHMARKS row 2: padding of the waveform stage, three mixes of lengths, bounded buffer.

    python -m benchmarks.waveform_padding [--quick] [--rounds 7] [--out runs/bench]

Ours: `Plan` with `batching: bucket`, 8000 frames at 50 Hz a step, one epoch, every clip exactly
once; with single clips, as the peer has them, and as configs/vits2/base.yaml trains (same-speaker
sequences). Peer: lhotse's DynamicBucketingSampler over the same clips in the same
order, with as many real frames a step and a buffer of as many clips as a window of ours holds. A
step costs its clips times the longest. Nothing is timed: one run says it all.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Row
from benchmarks.mixes import MAX_CLIP_SEC, MIXES, draw_mix, write_index
from benchmarks.options import read_options
from benchmarks.padding import measure_plan, report_lhotse, window_clips
from gsv2.data.config import DataConfig
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan

CONFIG = DataConfig(sources=[], lanes=4, max_frames=8000, max_clips=1, max_clip_sec=MAX_CLIP_SEC)
"""Like for like: single clips, the default window."""
VITS2 = replace(CONFIG, max_clips=4)
"""Section `data` that batches as configs/vits2/base.yaml does."""
NUM_CLIPS = 60_000


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    num_clips = 2000 if options.quick else NUM_CLIPS
    with Row(2, "padding of the waveform stage", options) as row:
        with tempfile.TemporaryDirectory() as root:
            for number, mix in enumerate(MIXES):
                seconds = draw_mix(mix, num_clips, np.random.default_rng(number))
                measure_mix(row, mix, write_index(Path(root) / str(number), seconds))
        row.note(
            "From BENCHMARKS.md, not measured here: lhotse .94-.97, GPT-SoVITS .81-.90 of the "
            "frames are real."
        )
        row.note(
            "Every clip once per contender (asserted). A window is of one lane, as a buffer is of "
            "one sampler; lhotse's buffer holds as many clips as the largest window of the run."
        )


def measure_mix(row: Row, mix: str, index: CorpusIndex) -> None:
    """Report ours and lhotse's figures for one mix."""
    lengths = np.maximum(index.numbers("num_samples") // HOP_LENGTH, 1)
    for config in (CONFIG, VITS2):
        plan = Plan(index, config, seed=0, members=("audio",))
        ours, clips = measure_plan(plan, lengths), window_clips(plan)
        kind = "single clips" if config.max_clips == 1 else "as VITS2"
        name = f"{mix}, {kind}, window {config.window_mb:.4g} MiB ({clips} clips)"
        row.target(f"{name}: real frames", ours.share, at_least=0.97)
        row.figure(f"{name}: step-cost CV", ours.cost_cv)
        if config.max_clips == 1:
            report_lhotse(row, mix, lengths, like=ours, buffer_size=clips)


if __name__ == "__main__":
    main()
