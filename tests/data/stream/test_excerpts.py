"""Excerpts of long clips: where they are cut, and that a run reads them again."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from gsv2.data.config import DataConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.excerpts import cut_excerpt
from gsv2.data.stream.loader import StreamStart, make_loader

BOTH = ("audio", "codes")


def make_clip(num_frames: int, frames_per_code: int, extra: int = 0) -> Clip:
    """Return a clip whose every sample and code holds the number of its code frame."""
    num_codes = num_frames // frames_per_code
    samples = np.arange(num_frames * HOP_LENGTH + extra) // (HOP_LENGTH * frames_per_code)
    codes = np.arange(num_codes, dtype=np.uint16)[None]
    return Clip(0, "key", "s", "text", "en", "a", samples.astype(np.float32), codes)


@pytest.mark.parametrize(("frames_per_code", "max_frames"), [(2, 50), (2, 51), (1, 50), (4, 50)])
def test_audio_and_codes_are_cut_at_the_same_times(frames_per_code: int, max_frames: int) -> None:
    clip = make_clip(400, frames_per_code, extra=77)
    for epoch in range(20):
        excerpt = cut_excerpt(clip, max_frames, 0, epoch)
        assert excerpt.codes is not None
        assert excerpt.wave is not None
        assert excerpt.codes.shape == (1, max_frames // frames_per_code)
        expected = np.repeat(excerpt.codes[0], HOP_LENGTH * frames_per_code)
        assert (excerpt.wave == expected).all()


def test_every_place_of_a_clip_comes_up_and_none_beyond_it() -> None:
    clip = make_clip(60, 2)
    found = [cut_excerpt(clip, 50, 0, epoch).codes for epoch in range(100)]
    starts = {int(codes[0, 0]) for codes in found if codes is not None}
    assert starts == set(range(6))


def test_key_seed_and_epoch_alone_choose_the_place() -> None:
    clip = make_clip(4000, 2)
    first = cut_excerpt(clip, 50, 0, 3).codes
    assert np.array_equal(first, cut_excerpt(clip, 50, 0, 3).codes)
    others = [(clip, 1, 3), (clip, 0, 4), (clip._replace(key="b"), 0, 3)]
    for other, seed, epoch in others:
        assert not np.array_equal(first, cut_excerpt(other, 50, seed, epoch).codes)


def test_short_clips_stay_whole_and_audio_alone_is_cut() -> None:
    clip = make_clip(50, 2, extra=3)
    assert cut_excerpt(clip, 50, 0, 0) is clip
    wave_alone = make_clip(400, 1)._replace(codes=None)
    excerpt = cut_excerpt(wave_alone, 33, 0, 0)
    assert excerpt.wave is not None
    assert len(excerpt.wave) == 33 * HOP_LENGTH


def test_a_stream_reads_excerpts_within_its_budget_and_goes_on_alike(tiny_corpus) -> None:
    whole = DataConfig(sources=[], lanes=4, max_frames=200, window_mb=0.3)
    config = replace(whole, max_frames=50, excerpt_sec=0.5)
    index = CorpusIndex.open(tiny_corpus.source_with_codes)
    plan = Plan(index, config, 0, BOTH)
    assert plan.num_clips == Plan(index, whole, 0, BOTH).num_clips  # none is left out for it
    batches = list(islice(make_loader(plan), 30))
    lengths = torch.cat([batch.wave_lengths for batch in batches])
    assert lengths.max() == 24 * HOP_LENGTH  # whole code frames of 25
    for batch in batches:
        assert batch.wave.shape[2] * batch.num_clips <= 50 * HOP_LENGTH
        assert (batch.code_lengths == (batch.wave_lengths // HOP_LENGTH + 1) // 2).all()
    later = list(islice(make_loader(plan, start=StreamStart(12)), 18))
    for batch, again in zip(batches[12:], later, strict=True):
        assert batch.keys == again.keys
        assert torch.equal(batch.wave, again.wave)
        assert torch.equal(batch.codes, again.codes)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {"max_frames": 100, "excerpt_sec": 0.1},
            r"excerpt_sec must be at least data.min_clip_sec",
        ),
        ({"max_frames": 100, "excerpt_sec": float("nan")}, r"excerpt_sec must be at least"),
        ({"max_tokens": 100, "excerpt_sec": 3.0}, r"left out for data.max_tokens"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DataConfig(sources=[], **values)
