from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Stage, Workload
from gsv2.training.telemetry.throughput import (
    RankWork,
    Throughput,
    hours_by_language,
    measure,
    work_figures,
)
from tests.support.toy_stage import toy_batch


class Counting:
    """A stage of 10 tokens and 3 TFLOPs a clip."""

    precision = PrecisionPolicy({}, ("gpt",))

    def workload(self, batch: Batch) -> Workload:
        return Workload([32_000] * batch.num_clips, 10 * batch.num_clips)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        return {"gpt": 3e12 * batch.num_clips}


class Silent(Counting):
    """A stage that counts nothing."""

    def workload(self, batch: Batch) -> Workload:
        return Workload()

    def flops(self, batch: Batch) -> Mapping[str, float]:
        return {}


def as_stage(value: Any) -> Stage:
    return cast(Stage, value)


def drain(throughput: Throughput, batches: list[Batch]) -> RankWork:
    stage = as_stage(Counting())
    throughput.count(batches, [measure(stage, batch) for batch in batches])
    return throughput.drain()


def lap(throughput: Throughput, batches: list[Batch], span_sec: float) -> dict[str, float]:
    return work_figures([drain(throughput, batches)], span_sec)


def test_figures_are_of_all_ranks_and_mfu_is_a_share_of_all_their_peaks(
    distributed: Distributed,
) -> None:
    """Ranks with 1 and 3 clips in 2 s, on devices of 12 TFLOP/s."""

    def one(rank: int) -> RankWork:
        throughput = Throughput(as_stage(Counting()), distributed, peak_tflops=12.0)
        return drain(throughput, [toy_batch(0, num_clips=1 + 2 * rank)])

    figures = work_figures([one(rank) for rank in range(2)], span_sec=2.0)
    assert figures["train/tokens_per_sec"] == 20.0
    assert figures["train/audio_sec_per_sec"] == 2.0
    assert figures["train/mfu"] == pytest.approx(4 * 3 / (2.0 * 2 * 12))
    assert 0.01 < figures["train/host_memory_gib"] < 1000


def test_a_lap_begins_anew_and_empty_micro_batches_hold_nothing(distributed: Distributed) -> None:
    throughput = Throughput(as_stage(Counting()), distributed, peak_tflops=1.0)
    empty = replace(toy_batch(1), weight=0.0)
    assert lap(throughput, [toy_batch(0, num_clips=2), empty], 1.0)["train/tokens_per_sec"] == 20
    assert lap(throughput, [toy_batch(0, num_clips=1)], 1.0)["train/tokens_per_sec"] == 10


def test_figures_that_nobody_knows_are_left_out(distributed: Distributed) -> None:
    """A CPU without `tracking.peak_tflops`; a stage that counts nothing."""
    figures = lap(Throughput(as_stage(Counting()), distributed), [toy_batch(0)], 1.0)
    assert "train/mfu" not in figures
    assert "train/device_memory_gib" not in figures
    throughput = Throughput(as_stage(Silent()), distributed, peak_tflops=1.0)
    workload = measure(as_stage(Silent()), toy_batch(0))
    throughput.count([toy_batch(0)], [workload])
    assert work_figures([throughput.drain()], 1.0).keys() == {"train/host_memory_gib"}


def test_hours_are_of_samples() -> None:
    samples = {"zh": 32_000 * 5400, "en": 32_000 * 3600}
    assert list(hours_by_language(samples).items()) == [
        ("data/hours/en", 1.0), ("data/hours/zh", 1.5)
    ]  # fmt: skip
