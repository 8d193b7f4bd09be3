"""Throughput of a run: tokens, audio and model FLOPs a second, and the memory it takes.

Work is counted on the host from the batch contract, padding never; ranks are asked at logged
steps only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import psutil
import torch

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Stage, Workload
from gsv2.training.telemetry.peaks import peak_flops

_GIB = 1 << 30


def measure(stage: Stage, batch: Batch) -> Workload:
    """Return the workload of a micro-batch on the host; nothing if it counts for nothing."""
    return stage.workload(batch) if batch.weight and batch.num_clips else Workload()


def hours_by_language(samples: Mapping[str, int]) -> dict[str, float]:
    """Return `data/hours/LANGUAGE` -> hours, for samples at `SAMPLE_RATE`."""
    return {
        f"data/hours/{language}": count / SAMPLE_RATE / 3600
        for language, count in sorted(samples.items())
    }


class RankWork(NamedTuple):
    """Work of one rank in a lap, and the memory that it takes."""

    tokens: int
    samples: int
    at_peak_sec: float
    """Time that its device would have needed at its peak; 0 where that is unknown."""
    host_gib: float
    device_gib: float


class Throughput:
    """This rank's work since the last `drain`."""

    def __init__(
        self, stage: Stage, distributed: Distributed, peak_tflops: float | None = None
    ) -> None:
        self._stage = stage
        self._device = distributed.device
        self._peak = partial(peak_flops, distributed.device, override_tflops=peak_tflops)
        self._has_peak = self._peak(torch.float32) > 0
        self._process = psutil.Process()
        self._work = (0, 0, 0.0)

    def count(self, batches: Sequence[Batch], workloads: Sequence[Workload]) -> None:
        """Take note of this rank's micro-batches and their workloads."""
        for batch, workload in zip(batches, workloads, strict=True):
            at_peak = self._seconds_at_peak(batch) if workload.samples else 0.0
            tokens, samples, at_peak_before = self._work
            samples += sum(workload.samples)
            self._work = (tokens + workload.tokens, samples, at_peak_before + at_peak)

    def drain(self) -> RankWork:
        """Return this rank's work in the lap, and begin the next."""
        work, self._work = self._work, (0, 0, 0.0)
        on_gpu = self._device.type == "cuda"
        on_device = torch.cuda.max_memory_allocated(self._device) if on_gpu else 0
        return RankWork(*work, self._process.memory_info().rss / _GIB, on_device / _GIB)

    def _seconds_at_peak(self, batch: Batch) -> float:
        """Return how long the device would need at its peak; 0 where either is unknown."""
        if not self._has_peak:
            return 0.0
        flops = self._stage.flops(batch)
        dtype = self._stage.precision.dtype
        return sum(number / self._peak(dtype(module)) for module, number in flops.items())


def work_figures(ranks: Sequence[RankWork], span_sec: float) -> dict[str, float]:
    """Return the figures of a lap.

    Args:
        ranks: work of each rank in the lap.
        span_sec: training time of the lap.

    Returns:
        `train/tokens_per_sec` and `train/audio_sec_per_sec` over all ranks, and `train/mfu`, for
        stages that have them; memory of the rank that takes most.
    """
    figures = {
        "train/tokens_per_sec": sum(rank.tokens for rank in ranks) / span_sec,
        "train/audio_sec_per_sec": sum(rank.samples for rank in ranks) / SAMPLE_RATE / span_sec,
        "train/mfu": sum(rank.at_peak_sec for rank in ranks) / (span_sec * len(ranks)),
        "train/host_memory_gib": max(rank.host_gib for rank in ranks),
        "train/device_memory_gib": max(rank.device_gib for rank in ranks),
    }
    return {name: value for name, value in figures.items() if value}
