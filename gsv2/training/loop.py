"""From where a run stands to its last step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from gsv2.data.batch import Batch
from gsv2.data.window import LaneMark
from gsv2.training.checkpoint import write_checkpoint
from gsv2.training.clock import RunClock
from gsv2.training.consumption import Consumption, sequence_shares
from gsv2.training.distributed import Distributed
from gsv2.training.folder import RunFolder
from gsv2.training.ledger import ledger_to_plain, pop_finished
from gsv2.training.quarantine import Quarantine
from gsv2.training.snapshot import save_snapshot
from gsv2.training.stage import Stage
from gsv2.training.state import TrainState
from gsv2.training.step import StepResult, StepRunner
from gsv2.training.tracking import Tracker
from gsv2.training.validation import set_training, validate

if TYPE_CHECKING:  # run.py needs TrainerConfig from trainer.py, which needs this module
    from gsv2.training.run import RunConfig

TrainingStream = Callable[[int, Mapping[int, LaneMark]], Iterable[Batch]]
"""Global number of a micro-batch, latest marks of the lanes before it -> this rank's endless
micro-batches from there on."""
FiniteStream = Callable[[], Iterable[Batch]]
"""-> this rank's micro-batches, from the first one."""


class TrainingError(ValueError):
    """A run that cannot go on."""


class TrainingLoop:
    """Steps, validates, records and saves; every rank takes the same branches."""

    def __init__(
        self,
        config: RunConfig,
        distributed: Distributed,
        folder: RunFolder,
        stage: Stage,
        state: TrainState,
        trackers: Sequence[Tracker],
    ) -> None:
        self._config = config
        self._distributed = distributed
        self._folder = folder
        self._stage = stage
        self._state = state
        self._trackers = trackers
        self._runner = StepRunner(stage, distributed, config.seed)
        self._quarantine = Quarantine(folder.quarantine, config.data.max_bad_fraction, distributed)
        self._consumption = Consumption(distributed)
        self._clock = RunClock(state.time_sec)

    def run(self, train: TrainingStream, validation: FiniteStream | None) -> None:
        """Go on to `trainer.max_steps`. Collective.

        Raises:
            TrainingError: more updates were skipped than allowed, or the stream ended.
            TooManyBadClipsError: more clips were unreadable than allowed.
        """
        state, trainer = self._state, self._config.trainer
        stream = iter(train(state.next_micro_batch, dict(state.marks)))
        set_training(self._stage, True)
        while state.step < trainer.max_steps:
            result = self._step(stream)
            is_logged = state.step == 1 or self._is_due(trainer.log_every_steps)
            is_validated = validation and self._is_due(trainer.validate_every_steps)
            is_saved = self._is_due(self._config.checkpoint.every_steps)
            if is_logged or is_validated or is_saved or result.skipped:
                self._quarantine.settle(state)
                self._consumption.settle(state)
                self._check_skipped()
            if is_logged or is_validated:
                row = self._figures(result)
                if validation and is_validated:
                    row |= validate(
                        self._stage, validation(), self._distributed, seed=self._config.seed
                    )
                for tracker in self._trackers:
                    tracker.log(state.step, row)
            for tracker in self._trackers:
                tracker.advance(state.step)
            if is_saved:
                self._save()

    def _step(self, stream: Iterator[Batch]) -> StepResult:
        """Take one optimizer step and move the state behind it."""
        per_step = self._config.data.micro_batches_per_step
        num_local = per_step // self._distributed.world
        with self._clock.waiting():
            batches = list(islice(stream, num_local))
        if len(batches) < num_local:
            raise TrainingError("the training stream ended; streams for training are endless")
        self._quarantine.count(batches)
        self._consumption.count(batches)
        result = self._runner.run(batches, self._state.step + 1)
        for batch in batches:
            figures = {"data/padding_share": batch.padding, "data/epoch": float(batch.epoch)}
            on_device = partial(torch.tensor, device=self._distributed.device)
            result.means.add({name: on_device(value) for name, value in figures.items()}, 1.0)
        self._state.step += 1
        self._state.next_micro_batch += per_step
        self._state.skipped += result.skipped
        self._clock.count_step()
        return result

    def _is_due(self, every_steps: int) -> bool:
        """Tell whether something is due at this step; at the last one everything is."""
        step = self._state.step
        is_last = step == self._config.trainer.max_steps
        return is_last or (every_steps > 0 and step % every_steps == 0)

    def _check_skipped(self) -> None:
        limit = self._config.trainer.max_skipped_steps
        if self._state.skipped > limit:
            raise TrainingError(
                f"step {self._state.step}: {self._state.skipped} updates were left out for a loss "
                f"or gradient that was not finite, more than trainer.max_skipped_steps={limit}; "
                "lower the learning rate or look at the data"
            )

    def _figures(self, result: StepResult) -> dict[str, Any]:
        """Return the row of this step and begin the next. Collective; waits for the device."""
        state = self._state
        finished = pop_finished(state.ledger, state.marks)
        sequences, state.sequences = state.sequences, {}
        return {
            **self._clock.lap(),
            **result.means.reduce(self._distributed),
            **{name: float(value) for name, value in result.figures.items()},
            **sequence_shares(sequences),
            "data/samples_seen": state.samples_seen,
            "data/bad_clips": state.bad_clips,
            "train/skipped_updates": state.skipped,
            **({"data/ledger": ledger_to_plain(finished)} if finished else {}),
        }

    def _save(self) -> None:
        """Write a checkpoint of this step. Collective."""
        state, config = self._state, self._config
        state.time_sec = self._clock.elapsed_sec
        write = partial(
            save_snapshot,
            trainables=self._stage.trainables,
            state=state,
            seed=config.seed,
            lanes=config.data.lanes,
            world=self._distributed.world,
        )
        self._distributed.on_main(
            lambda: write_checkpoint(
                self._folder.path, state.step, write, keep_last=config.checkpoint.keep_last
            )
        )
