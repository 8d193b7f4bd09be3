"""Extreme batches, the largest that a budget allows, made of noise: what memory must hold.

Neither many short nor few long clips are the worst for every network, so there is one of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

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
    config: DataConfig, members: Sequence[str], num_codebooks: int, text_dim: int | None = None
) -> dict[str, Batch]:
    """Return what is extreme -> micro-batch 0 that fills the budget so.

    Args:
        config: budget (`max_frames` or `max_tokens`) and limits of clips.
        members: members that clips have, of `audio`, `codes`, `align` and `text_vectors`.
        num_codebooks: number of codebooks of codes.
        text_dim: dimension of text vectors, of which each byte has one; None = there are none.
    """
    shortest = [config.min_clip_sec]
    num_clips = config.max_clips if config.max_tokens is not None else 1
    longest = [min(config.longest_sec, config.max_seconds / num_clips)] * num_clips
    return {
        name: with_text_vectors(
            _make_batch(config, _fill(config, seconds), members, num_codebooks),
            text_dim if "text_vectors" in members else None,
        )
        for name, seconds in {"short clips": shortest, "long clips": longest}.items()
    }


def with_text_vectors(batch: Batch, dim: int | None) -> Batch:
    """Return a batch whose texts have a vector of zeros for each byte; without `dim`, as it is."""
    if dim is None:
        return batch
    lengths = torch.tensor([len(text) for text in batch.texts])
    vectors = torch.zeros(len(lengths), int(lengths.max()), dim)
    return replace(batch, text_vectors=vectors, text_vector_lengths=lengths)


class _Filling(NamedTuple):
    """Clips that fill a budget."""

    frames: list[int]
    """Frames of each clip."""
    sequence: Tensor
    """[C] sequence of each clip."""
    packed_row: Tensor | None
    """[C] row of each clip, if rows are packed."""
    text: str
    """Text of every clip."""


def _fill(config: DataConfig, seconds: Sequence[float]) -> _Filling:
    """Return as many sequences of such clips as the budget holds."""
    if config.max_frames is not None:
        return _fill_frames(config, config.max_frames, seconds[0])
    assert config.max_tokens is not None, "DataConfig sets one of the two"
    return _fill_tokens(config, config.max_tokens, seconds)


def _fill_frames(config: DataConfig, max_frames: int, seconds: float) -> _Filling:
    """Return clips under a budget of frames.

    One sequence has all the company that it may have, the others none: what costs most where
    sequences are padded to the longest.
    """
    frames = _frames(config, min(seconds * FRAME_RATE_HZ, max_frames))
    num_clips = max(1, max_frames // frames)
    company = min(config.max_clips, max(1, int(config.max_seconds / seconds)))
    sequence = (torch.arange(num_clips) - company + 1).clamp(min=0)
    return _Filling([frames] * num_clips, sequence, None, _spoken(frames))


def _fill_tokens(config: DataConfig, max_tokens: int, seconds: Sequence[float]) -> _Filling:
    """Return clips under a budget of tokens."""
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
    spoken = _TEXT if config.tokens_per_text_byte else _spoken(frames[0])
    sequence = _each(range(num_sequences), len(frames))
    return _Filling(frames * num_sequences, sequence, rows, spoken)


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
    config: DataConfig, filling: _Filling, members: Sequence[str], num_codebooks: int
) -> Batch:
    frames = filling.frames
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
        texts=(filling.text,) * C,
        mixture_parts=(0,) * C,
        epochs=(0,) * C,
        sequence=filling.sequence,
        packed_row=filling.packed_row,
        num_packed_rows=(config.max_tokens or 0) // config.row_tokens if config.row_tokens else 0,
        row_tokens=config.row_tokens or 0,
        wave=wave if has_audio else None,
        wave_lengths=lengths * HOP_LENGTH if has_audio else None,
        codes=codes if has_codes else None,
        code_lengths=code_lengths if has_codes else None,
        alignments=torch.zeros_like(codes[:, 0]) if "align" in members else None,
    )
