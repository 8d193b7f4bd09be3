"""The toy as `python -m gsv2.train` runs it, and what may befall it.

`accelerate launch -m tests.integration.faulty SPEC` runs it as it is, `SPEC` in JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from torch import Tensor

from gsv2 import train
from gsv2.data.batch import Batch
from gsv2.training.distributed import Distributed
from gsv2.training.faults.signals import StopSignals
from gsv2.training.stage import Update
from tests.training.toy import ToyRunConfig, ToyStage, fit_toy, torn_batch, toy_config

PER_STEP = 4
SPIKE = 1e3
SECTIONS = ("trainer", "checkpoint", "model", "optim", "engines")
CHECKPOINTS = os.sep + "checkpoints" + os.sep


class FaultyStage(ToyStage):
    """Meets a fault in the middle of a step, or of a validation."""

    spec: Mapping[str, Any] = {}
    step = 0

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        self.step = step
        for update in super().updates(batch, step):
            befall(self.spec, "step", step)
            yield update

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        befall(self.spec, "validation", self.step)
        return super().validate(batch)


def befall(spec: Mapping[str, Any], where: str, step: int) -> None:
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
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], fault["bytes"]))
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


def run(spec: dict[str, Any]) -> NoReturn:
    """Run the toy in `folder` with its fault and leave as `gsv2.train` does.

    Keys of `spec`: `folder`, sections of the config, `environ` (what a launcher sets), `fault`
    ({where: start, fetch, step or validation; step; rank; what: signal number, hang, error,
    disk_full}), `kill_at_event`, `spikes` (steps whose waves are too loud).
    """
    sections = {key: spec[key] for key in SECTIONS if key in spec}

    def load_config(*_: object) -> ToyRunConfig:
        befall(spec, "start", 0)
        return toy_config(Path(spec["folder"]), **sections)

    def make_batch(k: int) -> Batch:
        befall(spec, "fetch", k // PER_STEP + 1)
        batch = torn_batch(k)
        is_spike = k // PER_STEP + 1 in spec.get("spikes", ())
        return replace(batch, wave=batch.wave * SPIKE) if is_spike else batch

    def fit(config: ToyRunConfig, distributed: Distributed, signals: StopSignals) -> None:
        FaultyStage.spec = spec
        if "kill_at_event" in spec:
            kill_at_event(spec["kill_at_event"])
        toy = {"stage_class": FaultyStage, "make_batch": make_batch}
        fit_toy(config, distributed, signals=signals, **toy)

    with mock.patch.multiple(train, load_config=load_config, _train=fit):
        code = train._run(["toy.yaml"])
    sys.stderr.flush()
    os._exit(code)  # the interpreter's own end takes longer than a run


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
