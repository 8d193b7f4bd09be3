"""Snapshot of a run, the content of a checkpoint: networks, moments, schedules, state.

`NAME.safetensors` is a component file, and so is `NAME.ema.safetensors`, which is there if the
average of the weights is kept. `NAME.optimizer.safetensors` holds the optimizer's
tensors as `KEY/PARAMETER`, `state.json` the rest. Tensors are whole and have the names of the
bare network, so that every engine and any number of ranks can go on from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from gsv2.models.component import describe_component
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.checkpoint import STATE
from gsv2.training.checkpoints.fingerprint import RunIdentity
from gsv2.training.checkpoints.tensor_file import write_hashed, write_tensors
from gsv2.training.ema import EMA_SUFFIX
from gsv2.training.engines.engine import TrainableState
from gsv2.training.engines.host_copies import HostCopies
from gsv2.training.stage import Trainable
from gsv2.version import __version__

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint in memory, on the host of the main rank."""

    headers: Mapping[str, Mapping[str, str]]
    """Trainable -> metadata of its component file."""
    states: Mapping[str, TrainableState]
    record: Mapping[str, Any]
    """Content of `state.json`."""


def capture_snapshot(
    trainables: Mapping[str, Trainable],
    state: TrainState,
    identity: RunIdentity,
    *,
    world: int,
    copies: HostCopies,
    values: Mapping[str, float] | None = None,
) -> Snapshot | None:
    """Copy everything that a run needs to go on to the host; None on ranks but the main one.

    Collective.

    Args:
        trainables: trainables of the stage, with their engines.
        copies: memory to copy to; an earlier snapshot that lies there is lost.
        values: name -> figures of this step by which the checkpoint is judged.
    """
    captured = {name: _capture(name, each, copies) for name, each in trainables.items()}
    copies.finish()
    states = {name: found for name, found in captured.items() if found is not None}
    if len(states) < len(trainables):
        return None
    record = {
        "format_version": FORMAT_VERSION,
        "gsv2_version": __version__,
        "seed": identity.seed,
        "lanes": identity.lanes,
        "dataset": identity.dataset,
        "world": world,
        "run": deepcopy(state.to_plain()),  # the run goes on while the thread writes
        "schedules": {name: _steps_done(trainable) for name, trainable in trainables.items()},
        "values": dict(values or {}),
    }
    headers = {
        name: describe_component(trainable.kind, trainable.config, trainable.provenance)
        for name, trainable in trainables.items()
    }
    return Snapshot(headers=headers, states=states, record=record)


def _capture(name: str, trainable: Trainable, copies: HostCopies) -> TrainableState | None:
    """Copy one trainable with its average to the host; None on other ranks. Collective."""
    assert trainable.engine is not None, "the Trainer has set the engines"
    copy = partial(_copy, copies, name)
    captured = trainable.engine.capture(copy)
    average: Mapping[str, Tensor] = {}
    if trainable.average is not None:
        weights = None if captured is None else captured.weights
        average = trainable.average.merge(weights, copy)
    return None if captured is None else replace(captured, average=average)


def write_snapshot(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Write the files into an existing folder, to disk; return file name -> SHA-256.

    Raises:
        OSError: the disk is full, or fails.
    """
    sums = {}
    for name, state in snapshot.states.items():
        weights, optimizer = f"{name}.safetensors", f"{name}.optimizer.safetensors"
        sums[weights] = write_tensors(folder / weights, state.weights, snapshot.headers[name])
        sums[optimizer] = write_tensors(folder / optimizer, state.optimizer, {})
        if state.average:
            average = f"{name}{EMA_SUFFIX}.safetensors"
            sums[average] = write_tensors(folder / average, state.average, snapshot.headers[name])
    text = json.dumps(snapshot.record, indent=1) + "\n"
    sums[STATE] = write_hashed(folder / STATE, [text.encode()])
    return sums


def _copy(copies: HostCopies, trainable: str, name: str, tensor: Tensor) -> Tensor:
    return copies.copy(f"{trainable}/{name}", tensor)


def _steps_done(trainable: Trainable) -> int:
    assert isinstance(trainable.scheduler, LambdaLR), "schedules are functions of the step"
    return trainable.scheduler.last_epoch
