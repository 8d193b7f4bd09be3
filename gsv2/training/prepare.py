"""Preparation of a stage for step 1: engines, averages, loss scales, compilation, a dry run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from gsv2.training.config import RunConfig
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.dry_run import dry_run
from gsv2.training.ema import WeightAverage
from gsv2.training.engines.choose import choose_engines, ignored_by, make_engine
from gsv2.training.engines.compile import check_compile, compile_networks
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.inspection import StepInspection
from gsv2.training.precision.loss_scale import LossScale
from gsv2.training.precision.watch import PrecisionWatch
from gsv2.training.schedule import RunProgress, follow_progress
from gsv2.training.stage import Stage, Trainable
from gsv2.training.validation import set_training

logger = logging.getLogger(__name__)


def check_names(config: RunConfig, trainables: Mapping[str, Trainable]) -> None:
    """Check what sections ask of single trainables.

    Raises:
        ValueError: no such trainable, or it cannot.
    """
    choose_engines(_plain_because(trainables), config.engines)
    check_compile(config.trainer.compile, trainables)
    _find_recomputable(trainables, config.trainer.activation_checkpointing)


def recompute_activations(trainables: Mapping[str, Trainable], names: Sequence[str]) -> None:
    """Let networks run their blocks again in the backward pass instead of keeping activations.

    Raises:
        ValueError: no such trainable, or its network cannot.
    """
    for recompute in _find_recomputable(trainables, names):
        recompute()


def attach_engines(
    trainables: Mapping[str, Trainable],
    configs: Mapping[str, EngineConfig],
    distributed: Distributed,
) -> None:
    """Give each trainable its engine; weights and buffers become those of rank 0. Collective.

    The main rank names what the launcher asks for in vain.

    Raises:
        EngineError: see `choose_engines`.
    """
    chosen = choose_engines(_plain_because(trainables), configs)
    ignored = ignored_by(chosen)
    if ignored and distributed.is_main:
        logger.warning(
            "of the launcher's settings, gsv2 IGNORES %s; it takes none but the ZeRO "
            "stage, for trainables whose engines.NAME.kind is auto",
            ", ".join(ignored),
        )
    for name, config in chosen.items():
        trainable = trainables[name]
        trainable.engine = make_engine(
            name,
            trainable.module,
            trainable.optimizer,
            config,
            distributed,
            max_grad_norm=trainable.max_grad_norm,
        )


def attach_progress(trainables: Mapping[str, Trainable], progress: RunProgress) -> None:
    """Let the networks and their learning rates follow a run."""
    for trainable in trainables.values():
        trainable.progress = progress
        assert isinstance(trainable.scheduler, LambdaLR), "schedules are functions of the step"
        follow_progress(trainable.scheduler, progress)


def attach_averages(trainables: Mapping[str, Trainable]) -> None:
    """Begin the averages of the weights that are wanted, from the weights of now. Collective."""
    for trainable in trainables.values():
        if trainable.ema_decay:
            assert trainable.engine is not None, "engines come first"
            trainable.average = WeightAverage(
                trainable.module, trainable.engine, trainable.ema_decay
            )


def attach_loss_scales(stage: Stage, scales: MutableMapping[str, LossScale]) -> None:
    """Scale the losses of a stage that computes in fp16, all of them: a GAN's networks meet.

    Args:
        stage: stage whose policy says so.
        scales: trainable -> scale of the run so far; new ones are put there.
    """
    if stage.precision.needs_loss_scale:
        for name, trainable in stage.trainables.items():
            trainable.loss_scale = scales.setdefault(name, LossScale())


def prepare(
    config: RunConfig,
    stage: Stage,
    distributed: Distributed,
    note: Callable[[str, Any], None],
) -> StepInspection:
    """Run the largest micro-batches on trial, and look at what they compute in. Collective.

    Nothing that training depends on is changed. Networks that are to be compiled are looked at
    before, since hooks would be compiled with them.

    Args:
        stage: stage with its engines, at the weights that training goes on from.
        note: writes a key into `environment.json`.

    Returns:
        The inspection of the first steps; of what they compute in, only without a dry run.

    Raises:
        CompileError: an entry of `trainer.compile` is of no trainable.
        PrecisionError: a module computes in another dtype than its policy says.
        MemoryBudgetError: the largest micro-batch does not fit.
    """
    trainer, modules = config.trainer, _modules(stage)
    check_compile(trainer.compile, stage.trainables)
    set_training(stage, True)
    watch = PrecisionWatch(stage.precision, modules, distributed, note)
    is_compiled = any(mode != "off" for mode in trainer.compile.values())
    if trainer.dry_run or is_compiled:
        peaks = dry_run(config.data, stage, distributed, config.seed, watch)
        note("dry_run_peak_gib", peaks)
        watch.end_step(is_last=True)
    compile_networks(modules, trainer.compile, trainer.compile_backend)
    num_local = config.data.micro_batches_per_step // distributed.world
    return StepInspection(stage, distributed, num_local, watch)


def _modules(stage: Stage) -> dict[str, nn.Module]:
    return {name: trainable.module for name, trainable in stage.trainables.items()}


def _plain_because(trainables: Mapping[str, Trainable]) -> dict[str, str]:
    return {name: trainable.plain_because for name, trainable in trainables.items()}


def _find_recomputable(
    trainables: Mapping[str, Trainable], names: Sequence[str]
) -> list[Callable[[], None]]:
    """Return what makes each network run its blocks again."""
    found = []
    for name in names:
        where = f"trainer.activation_checkpointing: {name}"
        if name not in trainables:
            raise ValueError(f"{where} is no trainable; this stage has {', '.join(trainables)}")
        recompute = getattr(trainables[name].module, "recompute_activations", None)
        if recompute is None:
            raise ValueError(f"{where} has no blocks that can run again in the backward pass")
        found.append(recompute)
    return found
