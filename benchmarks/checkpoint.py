"""BENCHMARKS row 10: how long a checkpoint blocks the step.

    python -m benchmarks.checkpoint [--quick] [--rounds 7] [--out runs/bench]

A transformer of 12 layers x 512 with AdamW's moments, about 450 MB, on the CPU. Ours: from the
call of `Saver.save` to its return; the thread then writes, hashes and syncs, and its end is waited
for before the next contender. Peers: `torch.save` of weights and optimizer and accelerate's
`save_state`, neither of which syncs: what they write may still be in memory. Limit: memcpy of the
same tensors, one by one, into memory that was used before. A single buffer of all their bytes is
reported beside it: where that is larger than what glibc takes for the cache, it is copied by other
instructions, past the cache, which no tensor of this size gets. Wall time, one torch thread. Also
what a step loses while the thread writes beside it.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from accelerate import Accelerator
from torch import nn

from benchmarks.harness import Row, ratios
from benchmarks.options import read_options
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.checkpoint import verify_checkpoint
from gsv2.training.checkpoints.config import CheckpointConfig
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.restore import read_state
from gsv2.training.checkpoints.resume import find_checkpoint
from gsv2.training.checkpoints.saver import Saver
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.prepare import attach_engines
from gsv2.training.schedule import make_scheduler
from gsv2.training.stage import Trainable

LAYERS = 12
DIM = 512
MAX_OF_MEMCPY = 1.5
MAX_OF_TORCH_SAVE = 0.3
_MATRIX = 512
_GB = 1e9


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__)
    with Row(10, "checkpoint", options) as row, tempfile.TemporaryDirectory() as folder:
        trainable = make_trainable(*(1, 64) if options.quick else (LAYERS, DIM))
        measure(row, trainable, Path(folder))


def measure(row: Row, trainable: Trainable, folder: Path) -> None:
    """Time all contenders in turn."""
    distributed = Distributed()
    trainables = {"net": trainable}
    attach_engines(trainables, {}, distributed)
    num_bytes = sum(sizes_of(trainable))
    ctypes.CDLL(None).malloc_trim(0)  # what the optimizer step has let go of would be used
    rss = psutil.Process().memory_info().rss
    config = CheckpointConfig(keep_last=1)
    saver = Saver(folder / "run", config, distributed, RunIdentity(seed=0, lanes=1))
    blocked: list[float] = []
    state = TrainState()

    def save() -> None:
        state.step += 1
        saver.save(trainables, state)
        blocked.append(saver.figures()["checkpoint/blocked_sec"])
        saver.finish()

    save()
    grown = psutil.Process().memory_info().rss - rss
    check_equal(folder / "run", trainable)
    row.figure("state", num_bytes / _GB, "GB")
    row.figure("host memory of the first checkpoint / state", grown / num_bytes)
    times = row.alternate(
        {
            "memcpy": make_memcpy(sizes_of(trainable)),
            "memcpy of one buffer": make_memcpy([num_bytes]),
            "gsv2": save,
            "torch.save": lambda: torch.save(
                {"net": trainable.module.state_dict(), "optim": trainable.optimizer.state_dict()},
                folder / "torch.pt",
            ),
            "accelerate": make_accelerate(trainable, folder / "accelerate"),
        },
        clock=time.perf_counter,
    )
    report(row, times, blocked)
    row.figure("compute beside a write / alone", slowdown(saver, trainables, state))
    saver.close()


def report(row: Row, times: dict[str, list[float]], blocked: Sequence[float]) -> None:
    """Write the seconds of each contender, and their ratios.

    Args:
        row: of the table.
        times: contender -> seconds of each round.
        blocked: seconds that each checkpoint has blocked the step.
    """
    first, _, *rounds = blocked  # the first one finds no memory, the second is unmeasured
    for name in ("memcpy", "memcpy of one buffer", "torch.save", "accelerate"):
        row.figure(name, times[name], "s")
    row.figure("gsv2, step blocked", rounds, "s")
    row.figure("gsv2, step blocked by the first checkpoint", first, "s")
    row.figure("gsv2, until it is on disk", times["gsv2"], "s")
    of_memcpy, of_save = (ratios(rounds, times[name]) for name in ("memcpy", "torch.save"))
    row.target("gsv2 / memcpy", of_memcpy, at_most=MAX_OF_MEMCPY)
    row.target("gsv2 / torch.save", of_save, at_most=MAX_OF_TORCH_SAVE)
    row.figure("gsv2 / memcpy of one buffer", ratios(rounds, times["memcpy of one buffer"]))
    row.figure("gsv2 / accelerate save_state", ratios(rounds, times["accelerate"]))


def make_trainable(num_layers: int, dim: int) -> Trainable:
    """Return a network after one optimizer step, so that there are moments."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(dim, 8, 4 * dim, batch_first=True)
    module = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
    config = OptimConfig()
    optimizer = make_optimizer(module, config)
    scheduler = make_scheduler(optimizer, config, 100)
    module(torch.randn(1, 4, dim)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return Trainable(
        kind="net",
        module=module,
        config={"dim": dim},
        optimizer=optimizer,
        scheduler=scheduler,
        max_grad_norm=1.0,
    )


def sizes_of(trainable: Trainable) -> list[int]:
    """Return the bytes of each of the weights and moments."""
    moments = [v for s in trainable.optimizer.state.values() for v in s.values()]
    tensors = [*trainable.module.state_dict().values(), *moments]
    return [tensor.numel() * tensor.element_size() for tensor in tensors]


def make_memcpy(sizes: Sequence[int]) -> Callable[[], object]:
    """Return a copy of buffers of so many bytes, one after the other."""
    pairs = [tuple(np.ones(size, dtype=np.uint8) for _ in range(2)) for size in sizes]
    return lambda: [np.copyto(target, source) for source, target in pairs]


def make_accelerate(trainable: Trainable, folder: Path) -> Callable[[], object]:
    """Return accelerate's way to save the same network and optimizer."""
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(trainable.module, trainable.optimizer)
    return lambda: accelerator.save_state(str(folder))


def check_equal(run: Path, trainable: Trainable) -> None:
    """Assert that the newest checkpoint holds the network and its moments, bit for bit."""
    folder = find_checkpoint(run, "auto")
    assert folder is not None
    verify_checkpoint(folder)
    saved = read_state(folder, "net")
    torch.testing.assert_close(
        dict(saved.weights), dict(trainable.module.state_dict()), rtol=0, atol=0
    )
    for name, parameter in trainable.module.named_parameters():
        for key, value in trainable.optimizer.state[parameter].items():
            assert torch.equal(saved.optimizer[f"{key}/{name}"], value)


def slowdown(saver: Saver, trainables: dict[str, Trainable], state: TrainState) -> list[float]:
    """Return how much longer matrix products take while the thread writes, a ratio each round."""
    matrix = torch.ones(_MATRIX, _MATRIX)

    def compute() -> float:
        start = time.perf_counter()
        for _ in range(20):
            matrix @ matrix
        return time.perf_counter() - start

    found = []
    for _ in range(7):
        alone = compute()
        state.step += 1
        saver.save(trainables, state)
        found.append(compute() / alone)
        saver.finish()
    return found


if __name__ == "__main__":
    main()
