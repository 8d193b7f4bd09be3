"""Collective checks, which ranks can only try together: sums, clocks, a folder that all see."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch

from gsv2.preflight.report import Finding, attempt
from gsv2.training.checkpoints.mirror import try_mirror
from gsv2.training.distributed.collectives import sum_over_ranks
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.shared import SEEN_SEC, check_shared

_BYTES_OF_FLOAT = 4
_SUM_MIB = {"cuda": 64, "cpu": 2}
_NUM_SUMS = 4
_SLOW_GB = 2.0
"""GB/s between machines with GPUs below which NCCL has not found the fast network."""
_CLOCK_ROUNDS = 3
_CLOCK_WARN_SEC = 1.0
_CLOCK_FAIL_SEC = 30.0


def check_sums(ranks: Distributed, nodes: int) -> Finding:
    """Sum a tensor over all ranks: the result, and the bandwidth of the slowest rank."""
    name = "all-reduce"
    size = _SUM_MIB[ranks.device.type] * 2**20 // _BYTES_OF_FLOAT
    mine = torch.full((size,), float(ranks.rank + 1), device=ranks.device)
    wanted = ranks.world * (ranks.world + 1) / 2
    wrong = [int((sum_over_ranks(mine) != wanted).sum())]  # the first opens connections
    start = _now(ranks.device)
    for _ in range(_NUM_SUMS):
        total = sum_over_ranks(mine)
    seconds = (_now(ranks.device) - start) / _NUM_SUMS
    wrong.append(int((total != wanted).sum()))
    wrongs, times = zip(*ranks.gather((sum(wrong), seconds)), strict=True)
    if any(wrongs):
        bad = [rank for rank, count in enumerate(wrongs) if count]
        return Finding(name, "fail", f"wrong sums on ranks {bad}: network, driver or GPU is broken")
    if ranks.world == 1:
        return Finding(name, "ok", "one rank")
    moved = 2 * (ranks.world - 1) / ranks.world * size * _BYTES_OF_FLOAT
    speed = moved / max(times) / 1e9
    detail = f"{speed:.2f} GB/s per rank, {1000 * max(times):.1f} ms for {size * 4 // 2**20} MiB"
    if ranks.device.type == "cuda" and nodes > 1 and speed < _SLOW_GB:
        return Finding(name, "warn", f"{detail}: slow; NCCL_DEBUG=INFO tells which network it took")
    return Finding(name, "ok", detail)


def check_clocks(ranks: Distributed) -> Finding:
    """Compare the clocks of the machines."""
    spreads = []
    for _ in range(_CLOCK_ROUNDS):
        ranks.barrier()
        spreads.append(_spread(ranks.gather(time.time())))
    spread = min(spreads)
    detail = f"{spread:.2f} s apart at most"
    if spread <= _CLOCK_WARN_SEC:
        return Finding("clocks", "ok", detail)
    return Finding("clocks", "fail" if spread > _CLOCK_FAIL_SEC else "warn", detail)


def check_run_folder(ranks: Distributed, folder: Path, timeout_sec: float = SEEN_SEC) -> Finding:
    """Write a file in the run folder as a checkpoint is written, and look for it on all ranks."""

    def check() -> str:
        check_shared(ranks, folder, timeout_sec)
        return f"{folder}: written, renamed, seen by all ranks"

    return attempt("run folder", check)


def check_target(ranks: Distributed, url: str | None, run_name: str) -> Finding:
    """Write, move, read and remove a file where checkpoints are copied to, on the main rank."""
    check = partial(try_mirror, url, run_name)
    return ranks.on_main(partial(attempt, "checkpoint target", check))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _spread(times: list[float]) -> float:
    return max(times) - min(times)
