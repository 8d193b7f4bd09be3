"""The one Trainer: resumes a run and brings it to its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gsv2.config import config_to_dict
from gsv2.training.checkpoint import clean_checkpoints, find_checkpoint
from gsv2.training.distributed import Distributed
from gsv2.training.folder import RunFolder
from gsv2.training.loop import FiniteStream, TrainingError, TrainingLoop, TrainingStream
from gsv2.training.random import seed_torch
from gsv2.training.records import truncate_records
from gsv2.training.snapshot import load_snapshot
from gsv2.training.stage import Stage
from gsv2.training.state import TrainState
from gsv2.training.tracking import Tracker, open_trackers

if TYPE_CHECKING:  # run.py needs TrainerConfig from here
    from gsv2.training.run import RunConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The `trainer` section."""

    max_steps: int
    """Optimizer steps of the whole run."""
    log_every_steps: int = 10
    """Steps between objects in metrics.jsonl; the first and the last step always have one."""
    validate_every_steps: int = 0
    """0 = only after the last step."""
    max_skipped_steps: int = 50
    """The run stops when more updates than this were skipped for a non-finite loss."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        least = {"max_steps": 1, "log_every_steps": 1, "validate_every_steps": 0}
        for name, minimum in {**least, "max_skipped_steps": 0}.items():
            if getattr(self, name) < minimum:
                raise ValueError(
                    f"trainer.{name} must be at least {minimum}, but is {getattr(self, name)}"
                )


class Trainer:
    """Fits any stage."""

    def __init__(self, config: RunConfig, distributed: Distributed) -> None:
        """Check that the ranks can share a step.

        Raises:
            TrainingError: the ranks do not divide `data.micro_batches_per_step`.
        """
        per_step, world = config.data.micro_batches_per_step, distributed.world
        if per_step % world:
            raise TrainingError(
                f"data.micro_batches_per_step must be a multiple of the {world} ranks, "
                f"but is {per_step}"
            )
        self._config = config
        self._distributed = distributed
        self.folder = RunFolder(Path(config.run.dir) / config.run.name)

    def fit(
        self,
        stage: Stage,
        train: TrainingStream,
        validation: FiniteStream | None = None,
        initial: FiniteStream | None = None,
    ) -> TrainState:
        """Train until `trainer.max_steps`, from the last checkpoint if there is one. Collective.

        Args:
            stage: what to train; its engines are set here.
            train: the training stream.
            validation: finite and equally long on every rank; None for no validation.
            initial: what `stage.initialise` sees, the same on every rank; None for
                the training stream from its start.

        Returns:
            Where the run stands at its end.

        Raises:
            CheckpointError: the checkpoint to resume from is missing, damaged or of another run.
            TrainingError: more updates were skipped than allowed.
            TooManyBadClipsError: more clips were unreadable than allowed.
        """
        state = self._restore(stage, initial or partial(train, 0, {}))
        if state.step >= self._config.trainer.max_steps:
            logger.info("%s is finished at step %d", self.folder.path, state.step)
            return state
        device, world = self._distributed.device, self._distributed.world
        create = partial(self.folder.create, self._config, world=world, device=device)
        self._distributed.on_main(create)
        for trainable in stage.trainables.values():
            trainable.engine = self._distributed.wrap(trainable.module)
        with ExitStack() as stack:
            trackers = self._open_trackers(stack, state.step)
            loop = TrainingLoop(
                self._config, self._distributed, self.folder, stage, state, trackers
            )
            loop.run(train, validation)
        return state

    def _restore(self, stage: Stage, initial: FiniteStream) -> TrainState:
        """Load the checkpoint or initialise the stage; drop records of steps after it."""
        run, device = self.folder.path, self._distributed.device
        self._distributed.on_main(partial(clean_checkpoints, run))
        resume = self._config.checkpoint.resume
        path = self._distributed.on_main(partial(find_checkpoint, run, resume))
        if path is None:
            state = TrainState()
            seed_torch(self._config.seed, "initialise")
            stage.initialise(batch.to(device) for batch in initial())
        else:
            config = self._config
            state = load_snapshot(path, stage.trainables, seed=config.seed, lanes=config.data.lanes)
            logger.info("resumed at step %d from %s", state.step, path)
        for records in (self.folder.metrics, self.folder.quarantine):
            self._distributed.on_main(partial(truncate_records, records, state.step))
        return state

    def _open_trackers(self, stack: ExitStack, done: int) -> Sequence[Tracker]:
        """Open the trackers of the main rank; the others tell nobody."""
        if not self._distributed.is_main:
            return ()
        trackers = open_trackers(
            self._config.tracking,
            self.folder.path,
            name=self._config.run.name,
            values=config_to_dict(self._config),
            done=done,
            max_steps=self._config.trainer.max_steps,
        )
        return stack.enter_context(trackers)
