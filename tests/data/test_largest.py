from __future__ import annotations

from typing import Any

import pytest

from gsv2.data.batch import Batch
from gsv2.data.largest import largest_batches
from gsv2.data.schema import HOP_LENGTH, DataConfig


def make(**values: Any) -> tuple[DataConfig, dict[str, Batch]]:
    config = DataConfig(sources=[], **values)
    return config, largest_batches(config, ("audio", "codes"), num_codebooks=2)


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
        assert (batch.num_rows, batch.row_tokens) == (4, 512)
        for row in range(4):
            is_here = batch.row == row
            tokens = int(batch.code_lengths[is_here].sum()) + 5 * int(is_here.sum())
            assert 0.6 * 512 < tokens <= 512
        assert batch.sequence.tolist() == sorted(batch.sequence.tolist())


def test_members_that_a_stage_does_not_read_are_none() -> None:
    config = DataConfig(sources=[], max_tokens=512)
    for batch in largest_batches(config, ("codes",), num_codebooks=3).values():
        assert batch.wave is None
        assert batch.codes.shape[1] == 3
