"""Batches of clips of like size."""

from __future__ import annotations

from typing import Any

import pytest

from gsv2.data.corpus.index import CorpusIndex
from gsv2.inference import clip_batches as module
from gsv2.inference.clip_batches import BatchLimit, clip_batches


@pytest.fixture
def index(tiny_corpus: Any) -> CorpusIndex:
    return CorpusIndex.open(tiny_corpus.source)


def keys_of(index: CorpusIndex, **options: Any) -> list[list[str]]:
    batches = clip_batches(
        index, ["audio"], BatchLimit("num_samples", options.pop("most", 10**9)), **options
    )
    return [[clip.key for clip in batch] for batch in batches]


@pytest.mark.parametrize("most", [1, 60_000, 10**9])
@pytest.mark.parametrize("window", [2, 1024])
def test_every_clip_comes_once_and_no_batch_crosses_a_shard(index, monkeypatch, most, window):
    monkeypatch.setattr(module, "_WINDOW_CLIPS", window)
    batches = keys_of(index, most=most)
    every = [key for batch in batches for key in batch]
    assert sorted(every) == sorted(index.key(row) for row in range(index.num_clips))
    shard_of = {index.key(row): index.shard_of(row).name for row in range(index.num_clips)}
    assert all(len({shard_of[key] for key in batch}) == 1 for batch in batches)


@pytest.mark.parametrize("most", [1, 60_000, 100_000])
def test_a_batch_with_its_padding_fits_unless_it_is_one_clip(index, most):
    size_of = {index.key(r): n for r, n in enumerate(index.numbers("num_samples").tolist())}
    for batch in keys_of(index, most=most):
        padded = len(batch) * max(size_of[key] for key in batch)
        assert padded <= most or len(batch) == 1


def test_a_skipped_shard_is_left_out_and_counts_as_done(index):
    told: list[tuple[int, int]] = []
    skipped = index.shards[0]
    batches = keys_of(index, skip=frozenset({skipped.name}), progress=lambda *at: told.append(at))
    assert sum(map(len, batches)) == index.num_clips - (skipped.stop - skipped.start)
    assert told[-1] == (index.num_clips, index.num_clips)
    assert told[0][0] > skipped.stop - skipped.start
