"""What ranks can only try together: sums, clocks, a folder that all of them see. All collective."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from gsv2.data.remote.body import public_name
from gsv2.data.remote.objects import open_filesystem
from gsv2.preflight.report import Finding, attempt
from gsv2.training.collectives import sum_over_ranks
from gsv2.training.distributed import Distributed

_BYTES_OF_FLOAT = 4
_SUM_MIB = {"cuda": 64, "cpu": 2}
_NUM_SUMS = 4
_SLOW_GB = 2.0
"""GB/s between machines with GPUs below which NCCL has not found the fast network."""
_CLOCK_ROUNDS = 3
_CLOCK_WARN_SEC = 1.0
_CLOCK_FAIL_SEC = 30.0
_SEEN_SEC = 20.0
"""NFS keeps what it knows of a folder for so long, at most."""


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


def check_run_folder(ranks: Distributed, folder: Path, timeout_sec: float = _SEEN_SEC) -> Finding:
    """Write a file in the run folder as a checkpoint is written, and look for it on all ranks."""
    name = "run folder"
    content = ranks.broadcast(secrets.token_hex())
    probe = folder / f".preflight-{content[:8]}"
    try:
        made = ranks.on_main(partial(_write_aside, probe, content))
    except (ValueError, OSError) as error:
        return Finding(name, "fail", f"{folder} cannot be written: {error}")
    try:
        seen = ranks.gather(_appears(probe, content, timeout_sec))
    finally:
        ranks.on_main(partial(_remove, probe, made))
    blind = [rank for rank, sees in enumerate(seen) if not sees]
    if blind:
        return Finding(
            name, "fail",
            f"{folder} of the main rank is not seen by ranks {blind}: it must be on storage that "
            "all machines share (run.dir)",
        )  # fmt: skip
    return Finding(name, "ok", f"{folder}: written, renamed, seen by all ranks")


def check_target(ranks: Distributed, url: str | None) -> Finding:
    """Write, move, read and remove a file where checkpoints are copied to, on the main rank."""
    name = "checkpoint target"
    if url is None:
        return Finding(name, "ok", "none; checkpoints stay in the run folder")
    return ranks.on_main(lambda: attempt(name, partial(_try_target, url)))


def _try_target(url: str) -> str:
    files = open_filesystem(url)
    probe = f"{url.rstrip('/')}/.preflight-{secrets.token_hex(4)}"
    moved, content = f"{probe}-moved", secrets.token_bytes(16)
    try:
        files.makedirs(url, exist_ok=True)
        files.pipe_file(probe, content)
        files.mv(probe, moved)
        came = files.cat_file(moved)
        files.rm_file(moved)
    except Exception as error:  # backends raise whatever their client libraries raise
        raise OSError(f"{public_name(url)}: {type(error).__name__}: {error}") from error
    if came != content:
        raise OSError(f"{public_name(url)}: what was read is not what was written")
    return f"{public_name(url)}: written, moved, read, removed"


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _spread(times: list[float]) -> float:
    return max(times) - min(times)


def _write_aside(probe: Path, content: str) -> list[Path]:
    """Write and rename; return the folders that had to be made, the innermost first."""
    made = [path for path in (probe.parent, *probe.parent.parents) if not path.exists()]
    probe.parent.mkdir(parents=True, exist_ok=True)
    aside = probe.with_name(f"{probe.name}-aside")
    aside.write_text(content, encoding="ascii")
    aside.rename(probe)
    return made


def _remove(probe: Path, made: list[Path]) -> None:
    with suppress(OSError):  # NFS may still hold what another machine has open
        probe.unlink()
        for folder in made:
            folder.rmdir()


def _appears(probe: Path, content: str, timeout_sec: float) -> bool:
    deadline = time.monotonic() + timeout_sec
    while True:
        with suppress(OSError):
            if probe.read_text(encoding="ascii") == content:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
