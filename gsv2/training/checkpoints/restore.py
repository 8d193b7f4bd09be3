"""Restoring from a checkpoint: is it of this run, and what does it say?

Nothing is unpickled: files are JSON and safetensors.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR

from gsv2.models.component import read_description
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.checkpoint import (
    STATE,
    CheckpointDamagedError,
    CheckpointMismatchError,
)
from gsv2.training.checkpoints.fingerprint import RunIdentity, fingerprint_differences
from gsv2.training.checkpoints.network_config import compare_configs
from gsv2.training.checkpoints.snapshot import FORMAT_VERSION
from gsv2.training.checkpoints.state_file import check_record
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.ema import EMA_SUFFIX
from gsv2.training.engines.engine import TrainableState
from gsv2.training.schedule import seek_schedule
from gsv2.training.stage import Trainable

_NAMED_DIFFERENCES = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RestorePoint:
    """A checkpoint that has been checked."""

    folder: Path
    state: TrainState
    """Where the run stands."""
    schedules: Mapping[str, int]
    """Trainable -> steps of its schedule."""

    def load(self, trainables: Mapping[str, Trainable], distributed: Distributed) -> None:
        """Put networks, optimizers and schedules where they were. Collective.

        Raises:
            CheckpointDamagedError: a rank cannot read the files.
        """
        for name, trainable in trainables.items():
            tensors = distributed.on_all(partial(read_state, self.folder, name))
            assert trainable.engine is not None, "the Trainer has set the engines"
            trainable.engine.restore(tensors)
            _restore_average(trainable, tensors)
            assert isinstance(trainable.scheduler, LambdaLR), "schedules are functions of the step"
            seek_schedule(trainable.scheduler, self.schedules[name])
        logger.info("resumed at step %d from %s", self.state.step, self.folder)


def check_snapshot(
    folder: Path,
    trainables: Mapping[str, Trainable],
    identity: RunIdentity,
    accept: Sequence[str] = (),
) -> RestorePoint:
    """Check that a checkpoint is one that this run can go on from, by headers alone.

    Args:
        trainables: trainables of the run, with bare networks.
        accept: `checkpoint.accept`.

    Raises:
        CheckpointMismatchError: the checkpoint belongs to another run; the message names what
            differs.
        CheckpointDamagedError: its files are not what they should be.
    """
    record = read_record(folder)
    try:
        check_record(record)
    except ValueError as error:
        raise CheckpointDamagedError(f"{folder / STATE}: {error}") from error
    _check_equal(folder, "trainables", sorted(record["schedules"]), sorted(trainables))
    trained_here = {trainable.kind for trainable in trainables.values()}
    for name, trainable in trainables.items():
        _check_network(folder, name, trainable, trained_here, accept)
    state = TrainState.from_plain(record["run"])
    found = list(_stream_differences(record, identity))
    refused = [text for name, text in found if name not in accept]
    if refused:
        names = ", ".join(dict.fromkeys(name for name, _ in found if name not in accept))
        raise CheckpointMismatchError(_refusal(folder, refused, names))
    if found:
        # An audit of the ledger would compare the clips with a plan that they do not come from.
        state.positions, state.ledger = {}, {}
        texts = _shortened([text for _, text in found])
        logger.warning("ACCEPTED, the stream goes on in another order: %s", texts)
    return RestorePoint(folder=folder, state=state, schedules=record["schedules"])


def read_record(folder: Path) -> dict[str, Any]:
    """Return the content of `state.json`.

    Raises:
        CheckpointMismatchError: it has another format.
        CheckpointDamagedError: it is missing, or no JSON.
    """
    try:
        record = json.loads((folder / STATE).read_text(encoding="utf-8"))
        version = record["format_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointDamagedError(f"{folder}: {STATE} cannot be read: {error}") from error
    _check_equal(folder, "format_version", version, FORMAT_VERSION)
    return record


def read_state(folder: Path, name: str) -> TrainableState:
    """Return the tensors of one trainable.

    Raises:
        CheckpointDamagedError: a file is missing, or not safetensors.
    """
    parts = (_read_tensors(folder / f"{name}{suffix}.safetensors") for suffix in ("", ".optimizer"))
    weights, optimizer = parts
    average = folder / f"{name}{EMA_SUFFIX}.safetensors"
    averaged = _read_tensors(average) if average.is_file() else {}
    return TrainableState(weights=weights, optimizer=optimizer, average=averaged)


def _restore_average(trainable: Trainable, state: TrainableState) -> None:
    """Go on with the average; a run that keeps one only now begins with the weights. Collective."""
    if trainable.average is None:
        if state.average:
            logger.warning("no average of %s is kept any more: ema_decay is 0", trainable.kind)
        return
    if state.average:
        trainable.average.restore(state.average)
    else:
        logger.warning("no average of %s in the checkpoint: it begins here", trainable.kind)
        trainable.average.restart()


def _read_tensors(file: Path) -> Mapping[str, Any]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointDamagedError(
            f"{file} cannot be read: {error}; every rank must see the run folder"
        ) from error


def _stream_differences(
    record: Mapping[str, Any], identity: RunIdentity
) -> Iterator[tuple[str, str]]:
    """Yield a word of `checkpoint.accept` and a sentence for each difference of the streams."""
    saved_dataset = record.get("dataset")
    if saved_dataset is not None and identity.dataset is not None:
        for text in fingerprint_differences(saved_dataset, identity.dataset):
            yield "dataset", text
    for name, what, wanted in (
        ("lanes", "data.lanes", identity.lanes),
        ("seed", "seed", identity.seed),
    ):
        if record[name] != wanted:
            yield name, f"{what} is {record[name]} there, but {wanted} in this run"


def _check_network(
    folder: Path,
    name: str,
    trainable: Trainable,
    trained_here: Collection[str],
    accept: Sequence[str],
) -> None:
    """Check the file of one network.

    Args:
        trained_here: kinds of the run's networks: the checkpoint has each one's hash of its time.
    """
    file = folder / f"{name}.safetensors"
    try:
        description = read_description(file)
        with safe_open(file, framework="pt") as opened:
            saved = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointDamagedError(f"{file} cannot be read: {error}") from error
    _check_equal(folder, f"the kind of {name}", description["kind"], trainable.kind)
    configs = (description["config"], trainable.config, trainable.config_type)
    for key, there, here in compare_configs(*configs):
        _check_equal(folder, f"{name}.{key}", there, here)
    wanted = {key: tuple(value.shape) for key, value in trainable.module.state_dict().items()}
    for key in sorted(saved.keys() | wanted.keys()):
        _check_equal(folder, f"the shape of {name}.{key}", saved.get(key), wanted.get(key))
    for key, wanted_hash in trainable.provenance.items():
        saved_hash = description["provenance"].get(key)
        if key in trained_here or saved_hash == wanted_hash:
            continue
        if key not in accept:
            text = f"the {key} of {name} is {saved_hash!r} there, but {wanted_hash!r} in this run"
            raise CheckpointMismatchError(_refusal(folder, [text], key))
        logger.warning("ACCEPTED: the %s of %s was %s", key, name, saved_hash)


def _check_equal(folder: Path, what: str, saved: Any, wanted: Any) -> None:
    if saved != wanted:
        raise CheckpointMismatchError(
            f"{folder}: {what} is {saved!r} there, but {wanted!r} in this run; "
            "use another run.name, or checkpoint.resume=none"
        )


def _refusal(folder: Path, differences: Sequence[str], names: str) -> str:
    return (
        f"{folder}: {_shortened(differences)}; use another run.name, checkpoint.resume=none, or, "
        f"if that is wanted, checkpoint.accept=[{names}]"
    )


def _shortened(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED_DIFFERENCES
    named = "; ".join(texts[:_NAMED_DIFFERENCES])
    return f"{named}; and {more} more" if more > 0 else named
