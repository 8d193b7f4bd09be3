from __future__ import annotations

import math
from typing import Any

import pytest

from gsv2.audio.mel import MelConfig
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.format import FRAME_RATE_HZ, HOP_LENGTH, SAMPLE_RATE
from gsv2.storage.config import RemoteConfig

FRAMES = {"max_frames": 100}
PACKED = {"batching": "pack", "max_tokens": 120, "row_tokens": 60}


def make(**values: Any) -> DataConfig:
    return DataConfig(**{"sources": [SourceConfig(path="x")], **values})


def test_frames_are_those_of_the_spectrograms() -> None:
    mel = MelConfig()
    assert (SAMPLE_RATE, HOP_LENGTH) == (mel.sample_rate, mel.hop_length)
    assert FRAME_RATE_HZ * HOP_LENGTH == SAMPLE_RATE


@pytest.mark.parametrize("budgets", [{}, {"max_frames": 100, "max_tokens": 100}])
def test_a_micro_batch_has_one_budget_in_frames_or_in_tokens(budgets: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"set exactly one of max_frames .* and max_tokens"):
        make(**budgets)
    assert make(max_tokens=100).max_frames is None


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("lanes", 1),
        ("micro_batches_per_step", 1),
        ("max_clips", 1),
        ("prefetch", 1),
        ("steps_per_frame", 1),
        ("window_clips", 1),
        ("language_temperature", 1.0),
        ("prompt_dropout", 0.0),
        ("max_bad_fraction", 0.0),
    ],
)
def test_a_field_has_a_smallest_value_and_is_named_below_it(name: str, least: float) -> None:
    assert getattr(make(**FRAMES, **{name: least}), name) == least
    value = least - 1
    with pytest.raises(ValueError, match=rf"^data\.{name} must .*, but is {value}$"):
        make(**FRAMES, **{name: value})


@pytest.mark.parametrize("name", ["prompt_dropout", "max_bad_fraction"])
def test_a_share_is_at_most_one(name: str) -> None:
    assert getattr(make(**FRAMES, **{name: 1.0}), name) == 1.0
    for value in (1.1, math.nan):  # NaN would let everything pass: nothing is above it
        with pytest.raises(ValueError, match=rf"^data\.{name} must be 0 to 1, but is {value}$"):
            make(**FRAMES, **{name: value})


@pytest.mark.parametrize("boundaries", [[20, 10], [10, 10]])
def test_bucket_boundaries_ascend(boundaries: list[int]) -> None:
    assert make(**FRAMES, bucket_boundaries=[10, 20]).bucket_boundaries == [10, 20]
    with pytest.raises(ValueError, match=r"^data\.bucket_boundaries must ascend: \["):
        make(**FRAMES, bucket_boundaries=boundaries)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row_tokens": None}, r"^data\.row_tokens must be set for data\.batching=pack"),
        ({"batching": "bucket"}, r"^data\.row_tokens must be set for .*, and only for it"),
        ({"row_tokens": 121}, r"^data\.row_tokens must be 1 to .* \(120\), but is 121"),
        ({"row_tokens": 0}, r"^data\.row_tokens must be 1 to .* \(120\), but is 0"),
        ({"bucket_boundaries": [5]}, r"^data\.bucket_boundaries have no meaning"),
    ],
)
def test_rows_are_packed_under_the_budget_and_not_bucketed(
    change: dict[str, Any], message: str
) -> None:
    assert make(**PACKED).row_tokens == 60
    with pytest.raises(ValueError, match=message):
        make(**{**PACKED, **change})


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_weight_is_positive_and_its_source_is_named(weight: float) -> None:
    with pytest.raises(ValueError, match=rf"source corpus/b must .*, but is {weight}$"):
        SourceConfig(path="corpus/b", weight=weight)


def test_all_sources_have_a_weight_or_none_has() -> None:
    weighted, bare = SourceConfig(path="a", weight=1.0), SourceConfig(path="b")
    for sources in ([weighted, weighted], [bare, bare], []):
        assert make(**FRAMES, sources=sources).sources == sources
    with pytest.raises(ValueError, match="all sources must have a weight, or none"):
        make(**FRAMES, sources=[weighted, bare])


@pytest.mark.parametrize("name", ["retries", "backoff_sec", "timeout_sec", "cache_gb"])
def test_a_remote_is_not_waited_for_in_negative_numbers(name: str) -> None:
    assert getattr(RemoteConfig(**{name: 0}), name) == 0
    with pytest.raises(ValueError, match=rf"^data\.remote\.{name} must be a number of at least 0"):
        RemoteConfig(**{name: -1})
