"""BENCHMARKS row 1: padding of the GPT stage, three mixes of lengths, through a bounded buffer.

    python -m benchmarks.gpt_padding [--quick] [--rounds 7] [--out runs/bench]

Ours: `Plan` with `batching: pack`, 4 rows of 4096 tokens, one epoch, every clip exactly once; as
the GPT trains (same-speaker sequences of up to 8 clips and 60 s), and with single clips, as the
peer has them. Peer: lhotse's DynamicBucketingSampler over the same clips in the same order, with
as many real tokens a step and a buffer of as many clips as a window of ours holds. A clip has its
UTF-8 bytes, its code frames at 25 Hz and 4 tokens; a step costs its padded tokens. Nothing is
timed: one run says it all.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Row
from benchmarks.mixes import MAX_CLIP_SEC, MIXES, draw_mix, write_index
from benchmarks.options import Options, read_options
from benchmarks.padding import measure_plan, report, report_lhotse, window_clips
from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan

CONFIG = DataConfig(
    sources=[],
    lanes=1,
    batching="pack",
    max_tokens=16_384,
    row_tokens=4096,
    max_clips=8,
    max_seconds=60.0,
    max_clip_sec=MAX_CLIP_SEC,
)
"""Section `data` as in configs/gpt/base.yaml; 1 lane, so that its epoch fills the larger buffer."""
LARGE_BUFFER_CLIPS = 100_000
"""The larger buffer; the smaller one is the default window."""
NUM_CLIPS = 200_000
_MIB = 1 << 20
_PUBLISHED = (
    "From BENCHMARKS.md, not measured here: lhotse DynamicBucketing .81-.97, GPT-SoVITS .75-.89, "
    "F5-TTS .89-.97, CosyVoice .96-.98 of the tokens are real."
)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    num_clips = 2000 if options.quick else NUM_CLIPS
    with Row(1, "padding of the GPT stage", options) as row, tempfile.TemporaryDirectory() as root:
        for number, mix in enumerate(MIXES):
            seconds = draw_mix(mix, num_clips, np.random.default_rng(number))
            index = write_index(Path(root) / str(number), seconds)
            measure_mix(row, mix, index, options)
        row.note(_PUBLISHED)
        row.note(
            "Every clip once per contender (asserted). A window is of one lane, as a buffer is of "
            "one sampler; lhotse's buffer holds as many clips as the largest window of the run."
        )


def measure_mix(row: Row, mix: str, index: CorpusIndex, options: Options) -> None:
    """Report ours and lhotse's figures for one mix, with both buffers."""
    lengths = token_lengths(index)
    for window_size in (CONFIG.window_clips, LARGE_BUFFER_CLIPS):
        config = replace(CONFIG, window_clips=window_size)
        plan = Plan(index, config, seed=0, members=("codes",))
        ours, clips = measure_plan(plan, lengths), window_clips(plan)
        name = f"{mix}, windows of {clips} clips"
        row.target(f"{name}: real tokens", ours.share, at_least=0.99)
        row.target(f"{name}: step-cost CV", ours.cost_cv, at_most=0.02)
        row.figure(f"{name}: CV of the real tokens of a step", ours.real_cv)
        alone = Plan(index, replace(config, max_clips=1), seed=0, members=("codes",))
        report(row, f"{name}, single clips", measure_plan(alone, lengths))
        report_lhotse(row, mix, lengths, like=ours, buffer_size=clips)


def token_lengths(index: CorpusIndex) -> np.ndarray:
    """Return [clips] tokens of each clip, from the columns of the index."""
    tokens = index.numbers("text_bytes") + index.numbers("num_code_frames")
    return (tokens + CONFIG.clip_overhead_tokens).astype(np.int64)


def clip_bytes(index: CorpusIndex) -> int:
    """Return the undecoded bytes of what the GPT reads."""
    return int(index.numbers("codes_length").sum() + index.numbers("json_length").sum())


if __name__ == "__main__":
    main()
