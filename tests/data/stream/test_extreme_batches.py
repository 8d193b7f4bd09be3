from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.extreme_batches import extreme_batches


def make(**values: Any) -> tuple[DataConfig, dict[str, Batch]]:
    config = DataConfig(sources=[], **values)
    return config, extreme_batches(config, ("audio", "codes"), num_codebooks=2)


@pytest.mark.parametrize("max_frames", [60, 400, 1501, 8000])
def test_frames_fill_their_budget_without_passing_it(max_frames: int) -> None:
    _, batches = make(max_frames=max_frames)
    for batch in batches.values():
        longest = int(batch.wave_lengths.max()) // HOP_LENGTH
        assert max_frames - longest < batch.num_clips * longest <= max_frames
        assert batch.wave.shape == (batch.num_clips, 1, longest * HOP_LENGTH)
    short, long = batches.values()
    assert short.num_clips == max_frames // 20  # of data.min_clip_sec
    assert long.wave.shape[-1] == min(1500, max_frames // 2 * 2) * HOP_LENGTH


def test_codes_have_the_length_of_their_audio() -> None:
    _, batches = make(max_frames=400)
    for batch in batches.values():
        frames = batch.wave_lengths // HOP_LENGTH
        assert ((frames + 1) // 2 == batch.code_lengths).all()
        assert batch.codes.shape == (batch.num_clips, 2, int(batch.code_lengths.max()))


def test_under_frames_a_sequence_model_meets_texts_and_the_most_padding_too() -> None:
    """Texts of 20 bytes a second; one sequence of `max_clips`, to which all others are padded."""
    short, long = make(max_frames=8000)[1].values()
    assert set(short.texts) == {"x" * 8}
    assert set(long.texts) == {"x" * 600}
    assert short.sequence.tolist() == [0, 0, 0, *range(397)]
    assert long.sequence.tolist() == [*range(5)]  # data.max_seconds has no room for company


@pytest.mark.parametrize("max_tokens", [64, 1024, 16384])
@pytest.mark.parametrize("steps_per_frame", [1, 2])
def test_sequences_fill_their_tokens_without_passing_them(
    max_tokens: int, steps_per_frame: int
) -> None:
    config, batches = make(max_tokens=max_tokens, steps_per_frame=steps_per_frame)
    overhead = 1 + config.clip_overhead_tokens
    for batch in batches.values():
        tokens = int(batch.code_lengths.sum()) * steps_per_frame + batch.num_clips * overhead
        length = tokens // len(set(batch.sequence.tolist()))
        assert max_tokens - length - 4 * config.max_clips < tokens <= max_tokens
    short, long = batches.values()
    assert short.num_clips > long.num_clips or max_tokens == 64
    assert long.sequence.tolist().count(0) == config.max_clips


def test_packed_rows_are_all_there_and_none_overflows() -> None:
    _, batches = make(max_tokens=2048, row_tokens=512, batching="pack")
    for batch in batches.values():
        assert (batch.num_packed_rows, batch.row_tokens) == (4, 512)
        for row in range(4):
            is_here = batch.packed_row == row
            tokens = int(batch.code_lengths[is_here].sum()) + 5 * int(is_here.sum())
            assert 0.6 * 512 < tokens <= 512
        assert batch.sequence.tolist() == sorted(batch.sequence.tolist())


def test_members_that_a_stage_does_not_read_are_none() -> None:
    config = DataConfig(sources=[], max_tokens=512)
    for batch in extreme_batches(config, ("codes",), num_codebooks=3).values():
        assert batch.wave is None
        assert batch.codes.shape[1] == 3


NUM_PLANNED = 600
"""Micro-batches, of several epochs."""


@pytest.mark.parametrize("max_frames", [1600, 4000])
def test_no_micro_batch_of_a_plan_has_more_clips_or_frames(
    bare_index: Callable[..., CorpusIndex], max_frames: int
) -> None:
    config, batches = make(max_frames=max_frames)
    most = greatest(sizes_of_frames(batch) for batch in batches.values())
    index = bare_index([300, 200, 400])
    frames = index.numbers("num_samples") // HOP_LENGTH
    for rows in planned(index, config, "audio"):
        clips = frames[rows]
        sizes = {"clips": len(rows), "longest": clips.max(), "padded": len(rows) * clips.max()}
        assert all(sizes[name] <= most[name] for name in sizes), (sizes, most)


@pytest.mark.parametrize(
    "values",
    [
        {"max_tokens": 3000},
        {"max_tokens": 3000, "steps_per_frame": 2},
        {"max_tokens": 4096, "row_tokens": 1024, "batching": "pack"},
    ],
)
def test_no_micro_batch_of_a_plan_has_more_clips_or_codes(
    bare_index: Callable[..., CorpusIndex], values: Mapping[str, Any]
) -> None:
    """Codes that count, that is: their padding, which embeddings alone see, may be more."""
    config, batches = make(**values)
    most = greatest(
        {"clips": batch.num_clips, "codes": int(batch.code_lengths.sum())}
        for batch in batches.values()
    )
    index = bare_index([300, 200, 400])
    codes = index.numbers("num_code_frames")
    for rows in planned(index, config, "codes"):
        sizes = {"clips": len(rows), "codes": codes[rows].sum()}
        assert all(sizes[name] <= most[name] for name in sizes), (sizes, most)


def sizes_of_frames(batch: Batch) -> dict[str, int]:
    longest = int(batch.wave_lengths.max()) // HOP_LENGTH
    return {"clips": batch.num_clips, "longest": longest, "padded": batch.num_clips * longest}


def greatest(sizes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return each size of the batch that has most of it."""
    found = list(sizes)
    return {name: max(of[name] for of in found) for name in found[0]}


def planned(index: CorpusIndex, config: DataConfig, member: str) -> Iterator[list[int]]:
    """Yield the clips of the first micro-batches."""
    source = SourceConfig(path="x")
    plan = Plan(index, replace(config, sources=[source], window_mb=8.0), 0, (member,))
    for item in islice(plan.iterate(), NUM_PLANNED):
        yield [row for sequence in item.sequences for row in sequence]
