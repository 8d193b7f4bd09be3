"""Speed of dtypes on a CPU: whether a transformer trains faster in bf16, by measurement.

Processors with avx512_bf16 or AMX multiply bf16 matrices two to three times as fast as fp32 ones,
others several times as slowly. So a run looks before it starts, and says what it has found; the
config decides.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

MEASURE_SEC = 0.3
"""Longest measurement, up to one piece of work."""
_MAX_ROUNDS = 20
_WORTH = 1.2
"""A dtype is worth a word if the other needs so many times as long."""
_TOKENS, _DIM = 256, 512
"""Sizes of a feed-forward layer of a small GPT."""


def describe_cpu_dtypes(
    policy: Mapping[str, str], module: str, clock: Callable[[], float] = time.perf_counter
) -> str | None:
    """Return what the other dtype would bring on this processor; None if nothing.

    Args:
        policy: module -> name of its dtype; nothing is measured without the module, or in fp16.
        module: name of the transformer.
        clock: seconds now.
    """
    asked = policy.get(module)
    if asked not in ("fp32", "bf16"):
        return None
    times = measure_dtypes(clock)
    other = "bf16" if asked == "fp32" else "fp32"
    if len(times) < 2 or times[asked] < _WORTH * times[other]:
        return None
    measured = ", ".join(f"{1e3 * seconds:.2f} ms in {dtype}" for dtype, seconds in times.items())
    return (
        f"precision.{module} is {asked}, but {other} is {times[asked] / times[other]:.1f} times as "
        f"fast on this processor: a layer and its gradients take {measured}; "
        f"precision.{module}={other}"
    )


def measure_dtypes(clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Return dtype -> median seconds of a piece of work, both in turn.

    A first round is not counted. Empty if there was no time for a second one.
    """
    work = training_work()
    end = clock() + MEASURE_SEC
    rounds: list[dict[str, float]] = []
    while len(rounds) <= _MAX_ROUNDS and clock() < end:
        took: dict[str, float] = {}
        for dtype, run in work.items():
            start = clock()
            run()
            took[dtype] = clock() - start
        rounds.append(took)
    if len(rounds) < 2:
        return {}
    return {dtype: statistics.median(took[dtype] for took in rounds[1:]) for dtype in work}


def training_work() -> Mapping[str, Callable[[], object]]:
    """Return dtype -> a pass and its gradients through a feed-forward layer under autocast."""
    rng = torch.Generator().manual_seed(0)  # and not the one that the run draws from
    with torch.random.fork_rng(devices=()):
        layer = nn.Sequential(nn.Linear(_DIM, 3 * _DIM), nn.SiLU(), nn.Linear(3 * _DIM, _DIM))
    weights = list(layer.parameters())
    x = torch.randn(_TOKENS, _DIM, generator=rng)

    def run(dtype: torch.dtype, is_mixed: bool) -> object:
        with torch.autocast("cpu", dtype=dtype, enabled=is_mixed):
            loss = layer(x).float().square().mean()
        return torch.autograd.grad(loss, weights)

    return {
        "fp32": lambda: run(torch.bfloat16, False),
        "bf16": lambda: run(torch.bfloat16, True),
    }
