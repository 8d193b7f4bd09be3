"""What a checkpoint says: networks, moments, schedules and where the run stands.

`NAME.safetensors` is a component file, `NAME.optimizer.safetensors` holds the optimizer's
tensors as `KEY/PARAMETER`, `state.json` the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from gsv2 import __version__
from gsv2.models.component import Component, load_component, save_component
from gsv2.training.checkpoint import CheckpointMismatchError
from gsv2.training.optim import seek_schedule
from gsv2.training.stage import Trainable
from gsv2.training.state import TrainState

FORMAT_VERSION = 2
_STATE = "state.json"


def save_snapshot(
    folder: Path,
    trainables: Mapping[str, Trainable],
    state: TrainState,
    *,
    seed: int,
    lanes: int,
    world: int,
) -> None:
    """Write everything that a run needs to go on into an existing folder."""
    for name, trainable in trainables.items():
        save_component(
            folder / f"{name}.safetensors",
            trainable.module,
            kind=trainable.kind,
            config=trainable.config,
            provenance=trainable.provenance,
        )
        save_file(_optimizer_tensors(trainable), folder / f"{name}.optimizer.safetensors")
    record = {
        "format_version": FORMAT_VERSION,
        "gsv2_version": __version__,
        "seed": seed,
        "lanes": lanes,
        "world": world,
        "run": state.to_plain(),
        "schedules": {name: t.scheduler.last_epoch for name, t in trainables.items()},
    }
    (folder / _STATE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load_snapshot(
    folder: Path, trainables: Mapping[str, Trainable], *, seed: int, lanes: int
) -> TrainState:
    """Put networks, optimizers and schedules where `save_snapshot` found them.

    Raises:
        CheckpointMismatchError: the checkpoint belongs to another run; the message names what
            differs.
    """
    record = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    _check_equal(folder, "format_version", record["format_version"], FORMAT_VERSION)
    _check_equal(folder, "seed", record["seed"], seed)
    _check_equal(folder, "data.lanes", record["lanes"], lanes)  # the marks are of lanes
    _check_equal(folder, "trainables", sorted(record["schedules"]), sorted(trainables))
    for name, trainable in trainables.items():
        component = load_component(folder / f"{name}.safetensors", trainable.kind)
        _check_same_network(folder, name, component, trainable)
        trainable.module.load_state_dict(dict(component.tensors))
        _load_optimizer(trainable, load_file(folder / f"{name}.optimizer.safetensors"))
        assert isinstance(trainable.scheduler, LambdaLR), "schedules are functions of the step"
        seek_schedule(trainable.scheduler, record["schedules"][name])
    return TrainState.from_plain(record["run"])


def _optimizer_tensors(trainable: Trainable) -> dict[str, Tensor]:
    return {
        f"{key}/{name}": value.detach().cpu().contiguous()
        for name, parameter in trainable.module.named_parameters()
        for key, value in trainable.optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(trainable: Trainable, tensors: Mapping[str, Tensor]) -> None:
    names = {id(p): name for name, p in trainable.module.named_parameters()}
    by_name: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        key, _, name = path.partition("/")
        by_name.setdefault(name, {})[key] = value
    groups = trainable.optimizer.param_groups
    parameters = chain.from_iterable(group["params"] for group in groups)
    numbered = ((number, names[id(p)]) for number, p in enumerate(parameters))
    state = {number: by_name[name] for number, name in numbered if name in by_name}
    packed = trainable.optimizer.state_dict()["param_groups"]
    trainable.optimizer.load_state_dict({"state": state, "param_groups": packed})


def _check_same_network(
    folder: Path, name: str, component: Component, trainable: Trainable
) -> None:
    saved, wanted = _flat(component.config), _flat(_plain(trainable.config))
    for key in sorted(saved.keys() | wanted.keys()):
        _check_equal(folder, f"{name}.{key}", saved.get(key), wanted.get(key))
    for key, wanted_hash in trainable.provenance.items():
        if key != trainable.kind:  # a network that is still training has no hash yet
            saved_hash = component.provenance.get(key)
            _check_equal(folder, f"the {key} of {name}", saved_hash, wanted_hash)


def _check_equal(folder: Path, what: str, saved: Any, wanted: Any) -> None:
    if saved != wanted:
        raise CheckpointMismatchError(
            f"{folder}: {what} is {saved!r} there, but {wanted!r} in this run; "
            "use another run.name, or checkpoint.resume=none"
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as JSON gives them back (tuples are lists there)."""
    return json.loads(json.dumps(dict(values)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
