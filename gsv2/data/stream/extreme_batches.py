"""Extreme batches, the largest that a budget allows, made of noise: what memory must hold.

Neither many short nor few long clips are the worst for every network, so there is one of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gsv2.data.config import DataConfig
from gsv2.data.corpus.format import FRAME_RATE_HZ, HOP_LENGTH
from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch

_LOUDNESS = 0.1
_TEXT = "x"
"""One byte: where codes and text share a budget, codes cost more memory."""
_TEXT_BYTES_PER_SEC = 20
"""Rate of fast speech: where the budget does not count texts, they come on top of it."""


def extreme_batches(
    config: DataConfig, members: Sequence[str], num_codebooks: int
) -> dict[str, Batch]:
    """Return what is extreme -> micro-batch 0 that fills the budget so.

    Args:
        config: budget (`max_frames` or `max_tokens`) and limits of clips.
        members: members that clips have, of `audio`, `codes` and `align`.
        num_codebooks: number of codebooks of codes.
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
        frames, sequence = _fill_frames(config, config.max_frames, seconds[0])
        text = _spoken(frames[0])
        packed_row = None
    else:
        assert config.max_tokens is not None, "DataConfig sets one of the two"
        frames, sequence, packed_row = _fill_tokens(config, config.max_tokens, seconds)
        text = _TEXT if config.tokens_per_text_byte else _spoken(frames[0])
    return _make_batch(
        config,
        frames,
        text=text,
        sequence=sequence,
        packed_row=packed_row,
        members=members,
        num_codebooks=num_codebooks,
    )


def _fill_frames(config: DataConfig, max_frames: int, seconds: float) -> tuple[list[int], Tensor]:
    """Return the frames of each clip and its sequence [C].

    One sequence has all the company that it may have, the others none: what costs most where
    sequences are padded to the longest.
    """
    frames = _frames(config, min(seconds * FRAME_RATE_HZ, max_frames))
    num_clips = max(1, max_frames // frames)
    company = min(config.max_clips, max(1, int(config.max_seconds / seconds)))
    return [frames] * num_clips, (torch.arange(num_clips) - company + 1).clamp(min=0)


def _fill_tokens(
    config: DataConfig, max_tokens: int, seconds: Sequence[float]
) -> tuple[list[int], Tensor, Tensor | None]:
    """Return the frames of each clip, its sequence [C], and its row [C] if rows are packed."""
    limit = config.row_tokens or max_tokens
    text = len(_TEXT) * config.tokens_per_text_byte
    most = (limit // len(seconds) - config.clip_overhead_tokens - text) / (
        config.steps_per_frame * config.code_rate_hz
    )
    frames = [_frames(config, min(s, most) * FRAME_RATE_HZ) for s in seconds]
    per_row = max(1, limit // sum(_tokens(config, count) for count in frames))
    num_rows = max_tokens // limit
    rows = _each(range(num_rows), per_row * len(frames)) if config.row_tokens else None
    num_sequences = per_row * num_rows
    return frames * num_sequences, _each(range(num_sequences), len(frames)), rows


def _spoken(frames: int) -> str:
    """Return the text of a clip of so many frames."""
    return "x" * math.ceil(frames / FRAME_RATE_HZ * _TEXT_BYTES_PER_SEC)


def _frames(config: DataConfig, frames: float) -> int:
    """Round to whole code frames, so that audio and codes are of one length; at least one."""
    per_code = FRAME_RATE_HZ / config.code_rate_hz
    return max(1, int(max(1, math.floor(frames / per_code + 1e-6)) * per_code))


def _code_frames(config: DataConfig, frames: int) -> int:
    return math.ceil(frames * config.code_rate_hz / FRAME_RATE_HZ)


def _tokens(config: DataConfig, frames: int) -> int:
    steps = _code_frames(config, frames) * config.steps_per_frame
    return steps + len(_TEXT) * config.tokens_per_text_byte + config.clip_overhead_tokens


def _each(values: Sequence[int], times: int) -> Tensor:
    return torch.tensor(list(values), dtype=torch.int64).repeat_interleave(times)


def _make_batch(
    config: DataConfig,
    frames: Sequence[int],
    *,
    text: str,
    sequence: Tensor,
    packed_row: Tensor | None,
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
        position=LanePosition(lane=0, place=0, window=0, parts=()),
        keys=("largest",) * C,
        speakers=("",) * C,
        languages=("",) * C,
        texts=(text,) * C,
        mixture_parts=(0,) * C,
        epochs=(0,) * C,
        sequence=sequence,
        packed_row=packed_row,
        num_packed_rows=(config.max_tokens or 0) // config.row_tokens if config.row_tokens else 0,
        row_tokens=config.row_tokens or 0,
        wave=wave if has_audio else None,
        wave_lengths=lengths * HOP_LENGTH if has_audio else None,
        codes=codes if has_codes else None,
        code_lengths=code_lengths if has_codes else None,
        alignments=torch.zeros_like(codes[:, 0]) if "align" in members else None,
    )
