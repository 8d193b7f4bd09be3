"""What test_engines.py runs on one rank and on two.

Every engine trains a `JointStage` for the same steps, is captured between them and after them, and
goes on from what others have captured, on as many ranks and on the other number of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.choose import make_engine
from gsv2.training.engines.engine import EngineConfig, EngineError, TrainableState
from gsv2.training.schedule import seek_schedule
from gsv2.training.stage import Trainable
from tests.support.engine_training import (
    EARLY_STEPS,
    KINDS,
    LATE_STEPS,
    CountedRuns,
    make,
)
from tests.support.forked_runs import DEEPSPEED
from tests.support.joint_stage import CarelessStage, JointStage
from tests.support.run_step import run_step
from tests.support.toy_stage import toy_batch

BEFORE_FORKS = DEEPSPEED
OTHER_WORLD = {1: 2, 2: 1}
"""Ranks of a run -> ranks of the one whose states it goes on from too."""
KINDS_OF = {1: ("plain", "zero2", "zero3"), 2: tuple(KINDS)}
"""Number of ranks -> kinds that train on them: alone, no stage but 3 differs from another."""
SOURCES = {1: ("plain", "zero2"), 2: ("zero0", "zero1", "zero2", "mixed", "zero3")}
"""Number of ranks -> kinds whose states the other number goes on from."""
GREEDY = ("plain",)
"""Kinds that go on from all of those; the others, from the last, for all have one form."""
WAIT_SEC = 200.0
"""For a state of the other run."""
RECOMPUTED = ("plain", "zero2", "zero3")
"""Kinds that also train with activation checkpointing, on two ranks."""


def save_states(stage: JointStage, file: Path) -> None:
    """Write what the engines capture, at once for whoever waits for it. Collective."""
    tensors = {}
    for name, trainable in stage.trainables.items():
        state = trainable.engine.capture()
        if state is not None:
            tensors |= {f"{name}|weights|{key}": value for key, value in state.weights.items()}
            tensors |= {f"{name}|optimizer|{key}": value for key, value in state.optimizer.items()}
    if tensors:
        unfinished = file.with_suffix(".unfinished")
        save_file(tensors, unfinished)
        unfinished.replace(file)


def load_states(stage: JointStage, file: Path) -> None:
    """Restore what `save_states` wrote. Collective."""
    tensors = load_file(file)
    for name, trainable in stage.trainables.items():
        parts = [
            {
                key.removeprefix(f"{name}|{part}|"): value
                for key, value in tensors.items()
                if key.startswith(f"{name}|{part}|")
            }
            for part in ("weights", "optimizer")
        ]
        trainable.engine.restore(TrainableState(*parts))


def train(kind: str, ranks: Distributed, out: Path) -> None:
    """Train from the start."""
    training = make(kind, ranks, out)
    training.run(EARLY_STEPS)
    save_states(training.stage, out / f"{kind}.early")
    training.run(LATE_STEPS)
    save_states(training.stage, out / f"{kind}.late")


def train_recomputed(kind: str, ranks: Distributed, out: Path) -> None:
    """Train from the start; the GPT runs its blocks again in the backward pass."""
    training = make(kind, ranks, out, recomputed=("gpt",))
    counted = CountedRuns(training.stage.trainables["gpt"].module)
    training.run(EARLY_STEPS)
    assert counted.in_backward, f"{kind}: no block ran again"
    save_states(training.stage, out / f"{kind}.recomputed")


def await_states(folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Return the files of states that another run writes meanwhile."""
    files = [folder / f"{kind}.early" for kind in kinds]
    deadline = time.monotonic() + WAIT_SEC
    for file in files:
        while not file.exists():
            assert time.monotonic() < deadline, f"{file} is missing: the other run is late or gone"
            time.sleep(0.05)
    return files


def go_on(kind: str, sources: Sequence[Path], ranks: Distributed, out: Path) -> None:
    """Train on from each of the states that engines have captured, with scaled losses."""
    training = make(kind, ranks, out)
    for source in sources:
        load_states(training.stage, source)
        for trainable in training.stage.trainables.values():
            seek_schedule(trainable.scheduler, 2)
            trainable.engine.loss_scale = 1024.0
        name = f"{kind}.from-{source.parent.name}-{source.stem}"
        save_states(training.stage, out / f"{name}.early")
        training.run(LATE_STEPS)
        save_states(training.stage, out / f"{name}.late")


def sources_of(kind: str, other_world: int) -> Sequence[str]:
    """Return the kinds on the other number of ranks whose states a kind goes on from."""
    return SOURCES[other_world] if kind in GREEDY else SOURCES[other_world][-1:]


def check_careless_stages_fail(kind: str, ranks: Distributed, out: Path) -> None:
    training = make(kind, ranks, out, CarelessStage)
    with pytest.raises(EngineError, match="sends gradients through discriminator's engine"):
        run_step(training.runner, [toy_batch(ranks.rank)], 1)


class Probe(nn.Module):
    """Notes what its layers compute in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.island = nn.Linear(3, 3), nn.Linear(3, 3)
        self.seen: tuple[torch.dtype, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        with torch.autocast("cpu", enabled=False):
            result = self.island(hidden.float())
        self.seen = (hidden.dtype, result.dtype)
        return result


def check_autocast(kind: str, ranks: Distributed) -> None:
    """Check that the caller's autocast reaches the network, and no other does."""
    module = Probe()
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    probe = Trainable(
        kind="probe",
        module=module,
        config={},
        optimizer=optimizer,
        scheduler=None,
        max_grad_norm=1.0,
    )
    config = KINDS[kind].get("gpt", EngineConfig(kind="ddp"))
    probe.engine = make_engine(
        "probe",
        probe.module,
        probe.optimizer,
        config,
        ranks,
        max_grad_norm=probe.max_grad_norm,
    )
    for autocast, seen in (
        (torch.autocast("cpu", dtype=torch.bfloat16), torch.bfloat16),
        (torch.autocast("cpu", enabled=False), torch.float32),
    ):
        with autocast:
            loss = probe(torch.ones(1, 3)).sum()
        assert module.seen == (seen, torch.float32), f"{kind}: {module.seen}"
        probe.engine.backward(loss, is_last=True)
        probe.engine.grad_norm()
        probe.engine.step(1.0)
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def main(folder: str) -> None:
    """Train and go on in `folder/RANKS`."""
    from deepspeed.ops import __compatible_ops__

    out, ranks = Path(folder), Distributed()
    own, other = (out / str(world) for world in (ranks.world, OTHER_WORLD[ranks.world]))
    for kind in KINDS_OF[ranks.world]:
        train(kind, ranks, own)
        gc.freeze()  # each ZeRO-3 engine collects garbage, over all engines before it
    if ranks.world > 1:
        for kind in RECOMPUTED:
            train_recomputed(kind, ranks, own)
    ranks.barrier()
    for kind in KINDS_OF[ranks.world]:
        others = await_states(other, sources_of(kind, OTHER_WORLD[ranks.world]))
        go_on(kind, [own / f"{kind}.early", *others], ranks, own)
    if ranks.world > 1:
        check_careless_stages_fail("zero1", ranks, own)  # DeepSpeed itself would not notice
        for kind in KINDS:
            check_autocast(kind, ranks)
    assert __compatible_ops__["deepspeed_shm_comm"] is False
    ranks.close()
