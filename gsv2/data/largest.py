"""The largest micro-batches that a budget allows, made of noise: what memory must hold.

Neither many short nor few long clips are the worst for every network, so there is one of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, repeat

import torch
from torch import Tensor

from gsv2.data.batch import Batch
from gsv2.data.schema import FRAME_RATE_HZ, HOP_LENGTH, DataConfig
from gsv2.data.window import LaneMark

_LOUDNESS = 0.1
_TEXT = "x"
"""One byte: where codes and text share a budget, codes cost more memory."""


def largest_batches(
    config: DataConfig, members: Sequence[str], num_codebooks: int
) -> dict[str, Batch]:
    """Return what is extreme -> micro-batch 0 that fills the budget so.

    Args:
        config: whose `max_frames` or `max_tokens`, and limits of clips, hold.
        members: any of `audio` and `codes`.
        num_codebooks: of codes.
    """
    shortest = [config.min_clip_sec]
    num_clips = config.max_clips if config.max_tokens is not None else 1
    longest = [min(config.max_clip_sec, config.max_seconds / num_clips)] * num_clips
    return {
        "short clips": _fill(config, shortest, members, num_codebooks),
        "long clips": _fill(config, longest, members, num_codebooks),
    }


def _fill(
    config: DataConfig, seconds: Sequence[float], members: Sequence[str], num_codebooks: int
) -> Batch:
    """Return a batch of as many sequences of such clips as the budget holds."""
    if config.max_frames is not None:
        frames = [_frames(config, min(s * FRAME_RATE_HZ, config.max_frames)) for s in seconds]
        per_row, num_rows = max(1, config.max_frames // sum(frames)), 1
    else:
        assert config.max_tokens is not None, "DataConfig sets one of the two"
        limit = config.row_tokens or config.max_tokens
        most = (limit // len(seconds) - config.clip_overhead_tokens - len(_TEXT)) / (
            config.steps_per_frame * config.code_rate_hz
        )
        frames = [_frames(config, min(s, most) * FRAME_RATE_HZ) for s in seconds]
        length = sum(_tokens(config, count) for count in frames)
        per_row, num_rows = max(1, limit // length), config.max_tokens // limit
    num_sequences = per_row * num_rows
    rows = chain.from_iterable(repeat(row, per_row * len(frames)) for row in range(num_rows))
    is_packed = config.row_tokens is not None
    return _make_batch(
        config,
        frames * num_sequences,
        sequence=_each(range(num_sequences), len(frames)),
        row=torch.tensor(list(rows)) if is_packed else None,
        num_rows=num_rows if is_packed else 0,
        members=members,
        num_codebooks=num_codebooks,
    )


def _frames(config: DataConfig, frames: float) -> int:
    """Round to whole code frames, so that audio and codes are of one length; at least one."""
    per_code = FRAME_RATE_HZ / config.code_rate_hz
    return max(1, int(max(1, math.floor(frames / per_code + 1e-6)) * per_code))


def _code_frames(config: DataConfig, frames: int) -> int:
    return math.ceil(frames * config.code_rate_hz / FRAME_RATE_HZ)


def _tokens(config: DataConfig, frames: int) -> int:
    steps = _code_frames(config, frames) * config.steps_per_frame
    return steps + len(_TEXT) + config.clip_overhead_tokens


def _each(values: Sequence[int], times: int) -> Tensor:
    return torch.tensor(list(values), dtype=torch.int64).repeat_interleave(times)


def _make_batch(
    config: DataConfig,
    frames: Sequence[int],
    *,
    sequence: Tensor,
    row: Tensor | None,
    num_rows: int,
    members: Sequence[str],
    num_codebooks: int,
) -> Batch:
    C, longest = len(frames), max(frames)
    noise = torch.Generator().manual_seed(0)
    has_audio, has_codes = "audio" in members, "codes" in members
    lengths = torch.tensor(frames, dtype=torch.int64)
    code_lengths = torch.tensor([_code_frames(config, count) for count in frames])
    codes = torch.zeros(C, num_codebooks, int(code_lengths.max()), dtype=torch.int64)
    wave = _LOUDNESS * torch.randn(C, 1, longest * HOP_LENGTH, generator=noise)
    return Batch(
        micro_batch=0,
        lane=0,
        epoch=0,
        mark=LaneMark(lane=0, place=0, window=0, components=()),
        keys=("largest",) * C,
        speakers=("",) * C,
        languages=("",) * C,
        texts=(_TEXT,) * C,
        components=(0,) * C,
        epochs=(0,) * C,
        sequence=sequence,
        row=row,
        num_rows=num_rows,
        row_tokens=config.row_tokens or 0,
        wave=wave if has_audio else None,
        wave_lengths=lengths * HOP_LENGTH if has_audio else None,
        codes=codes if has_codes else None,
        code_lengths=code_lengths if has_codes else None,
    )
