"""The toy as `python -m gsv2.train` runs it, and what may do_fault it.

`accelerate launch -m tests.support.faulty_run SPEC` runs it as it is, `SPEC` in JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from torch import Tensor

from gsv2 import train
from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints import saver
from gsv2.training.checkpoints.mirror import CheckpointMirror
from gsv2.training.distributed import background
from gsv2.training.distributed.ranks import Distributed, leave
from gsv2.training.faults.signals import StopSignals
from gsv2.training.stage import Update
from gsv2.training.telemetry.weights_and_biases import WandbTracker
from tests.support.toy_stage import ToyRunConfig, ToyStage, fit_toy, torn_batch, toy_config

T = TypeVar("T")

PER_STEP = 4
SPIKE = 1e3
SECTIONS = ("trainer", "checkpoint", "model", "optim", "engines", "tracking")
CHECKPOINTS = os.sep + "checkpoints" + os.sep


class FaultyStage(ToyStage):
    """Meets a fault in the middle of a step, or of a validation."""

    spec: Mapping[str, Any] = {}
    step = 0

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        self.step = step
        for update in super().updates(batch, step):
            do_fault(self.spec, "step", step)
            yield update

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        do_fault(self.spec, "validation", self.step)
        return super().validate(batch)


def do_fault(spec: Mapping[str, Any], where: str, step: int) -> None:
    """Let the fault of `spec` happen if this is its place and rank, once."""
    fault = spec.get("fault", {})
    rank = int(os.environ.get("RANK", "0"))
    if (fault.get("where"), fault.get("step"), fault.get("rank", 0)) != (where, step, rank):
        return
    del spec["fault"]["where"]  # type: ignore[index]
    what = fault["what"]
    if what == "hang":
        time.sleep(1000)
    elif what == "error":
        raise KeyError(f"shard of step {step}")
    elif what == "disk_full":
        first = Path(spec["folder"], "run", "checkpoints", "step_00000002")
        while not first.exists():  # a thread writes it
            time.sleep(0.01)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], hard))
    else:
        os.kill(os.getpid(), what)


def kill_at_event(number: int) -> None:
    """Die of SIGKILL at the n-th time that a file of a checkpoint is opened, renamed or removed."""
    count = 0

    def hear(event: str, arguments: Sequence[Any]) -> None:
        nonlocal count
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"):
            count += any(CHECKPOINTS in str(argument) for argument in arguments)
            if count == number:
                os.kill(os.getpid(), 9)

    sys.addaudithook(hear)


def slow_down(action: Callable[..., T], seconds: float) -> Callable[..., T]:
    """Return what does the same, later."""

    def wait_and_do(*arguments: Any) -> T:
        time.sleep(seconds)
        return action(*arguments)

    return wait_and_do


def slow_write(spec: Mapping[str, Any]) -> Callable[..., Path]:
    """Return what writes checkpoints, and says that it has begun."""

    def tell_and_write(*arguments: Any) -> Path:
        if "slow_write_sec" in spec:
            Path(spec["folder"], "writing").touch()
            time.sleep(spec["slow_write_sec"])
        return write(*arguments)

    write = saver.write_checkpoint
    return tell_and_write


def slow_wandb(seconds: float) -> None:
    """Let Weights & Biases take its time to finish."""
    slow = mock.MagicMock()
    slow.finish.side_effect = lambda **_: time.sleep(seconds)
    WandbTracker._open = lambda *_: slow  # type: ignore[method-assign]


def run(spec: dict[str, Any]) -> int:
    """Run the toy in `folder` with its fault; return the exit code of `gsv2.train`.

    Keys of `spec`: `folder`, sections of the config, `environ` (what a launcher sets), `fault`
    ({where: start, fetch, step or validation; step; rank; what: signal number, hang, error,
    disk_full}), `kill_at_event`, `room_again` (step that ends `disk_full`), `spikes` (steps whose
    waves are too loud), `slow_write_sec`, `slow_wandb_sec`, `slow_target` (seconds that a copy to
    or from the target takes), `slice` (seconds between two signs of life).
    """
    if "slow_wandb_sec" in spec:
        slow_wandb(spec["slow_wandb_sec"])
    sections = {key: spec[key] for key in SECTIONS if key in spec}

    def load_config(*_: object) -> ToyRunConfig:
        do_fault(spec, "start", 0)
        return toy_config(Path(spec["folder"]), **sections)

    def make_batch(k: int) -> Batch:
        do_fault(spec, "fetch", k // PER_STEP + 1)
        if k // PER_STEP + 1 == spec.get("room_again"):
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        batch = torn_batch(k)
        is_spike = k // PER_STEP + 1 in spec.get("spikes", ())
        return replace(batch, wave=batch.wave * SPIKE) if is_spike else batch

    def fit(
        config: ToyRunConfig, distributed: Distributed, signals: StopSignals, stages: object
    ) -> None:
        FaultyStage.spec = spec
        if "kill_at_event" in spec:
            kill_at_event(spec["kill_at_event"])
        toy = {"stage_class": FaultyStage, "make_batch": make_batch}
        fit_toy(config, distributed, signals=signals, **toy)

    slow = partial(slow_down, seconds=spec.get("slow_target", 0.0))
    with (
        mock.patch.multiple(train, load_config=load_config, _train=fit),
        mock.patch.object(saver, "write_checkpoint", slow_write(spec)),
        mock.patch.multiple(
            CheckpointMirror, put=slow(CheckpointMirror.put), fetch=slow(CheckpointMirror.fetch)
        ),
        mock.patch.object(background, "SLICE_SEC", spec.get("slice", background.SLICE_SEC)),
    ):
        return train._run(["toy.yaml"])


if __name__ == "__main__":
    leave(run(json.loads(sys.argv[1])))
