"""Loop from where a run stands to its last step: updates, records, validations, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.counters import RankCounters, drain_figures
from gsv2.training.accounting.quarantine import Quarantine
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.saver import Saver
from gsv2.training.config import RunConfig
from gsv2.training.distributed.agreement import RankAgreement, StopAgreed
from gsv2.training.faults.signals import Preempted
from gsv2.training.guard import (
    UpdateGuard,
    check_first_steps,
    check_left_out,
    check_weights,
    note_left_out,
)
from gsv2.training.inspection import StepInspection
from gsv2.training.listening import log_listening
from gsv2.training.prefetch import StepPrefetcher
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.schedule import RunProgress
from gsv2.training.stage import Stage
from gsv2.training.step import StepResult, StepRunner
from gsv2.training.telemetry.gallery import Gallery
from gsv2.training.telemetry.metrics import RunClock
from gsv2.training.telemetry.tracking import Tracker
from gsv2.training.validation import averaged, set_training, validate

TrainingStream = Callable[[int, Mapping[int, LanePosition]], Iterable[Batch]]
"""Global number of a micro-batch, latest positions of the lanes before it -> this rank's endless
micro-batches from there on."""
FiniteStream = Callable[[], Iterable[Batch]]
"""-> this rank's micro-batches, from the first one."""


class TrainingLoop:
    """Steps, validates, records and saves; every rank takes the same branches.

    Args:
        stage: prepared for its first step.
        state: state of the run, moved on step by step.
        progress: how far the run has come, moved on with it.
        agreement: agreement in which the ranks go on, leave and fail.
        saver: makes the checkpoints.
    """

    def __init__(
        self,
        config: RunConfig,
        stage: Stage,
        state: TrainState,
        progress: RunProgress,
        agreement: RankAgreement,
        saver: Saver,
    ) -> None:
        self._config = config
        self._stage = stage
        self._state = state
        self._progress = progress
        self._agreement = agreement
        self._saver = saver
        self._trackers: Sequence[Tracker] = ()
        trainer, tracking, distributed = config.trainer, config.tracking, agreement.distributed
        folder, clock = RunFolder(config.run.folder), RunClock(state.time_sec, state.ending_sec)
        guard = UpdateGuard(trainer.spike_factor, trainer.spike_warmup_steps, state.history)
        self._runner = StepRunner(stage, distributed, config.seed, guard)
        self._gallery = Gallery(stage, distributed, tracking, folder.samples, config.seed)
        quarantine = Quarantine(folder.quarantine, config.data.max_bad_fraction, distributed)
        self._counters = RankCounters(stage, distributed, clock, quarantine, tracking.peak_tflops)
        self._clock = clock
        self._inspection: StepInspection | None = None
        self._saved_step = state.step
        self._taken: set[str] = set()
        self._left_out: set[str] = set()

    def run(
        self,
        train: TrainingStream,
        validation: FiniteStream | None,
        trackers: Sequence[Tracker] = (),
        inspection: StepInspection | None = None,
    ) -> None:
        """Go on to the last step. Collective.

        Args:
            train: the training stream.
            validation: the validation stream; None for no validation.
            trackers: are told about the run.
            inspection: looks at the first steps.

        Raises:
            Preempted: a rank was told to leave; a checkpoint holds all that was done.
            TrainingError: more updates were skipped than allowed, or the stream ended.
            TooManyBadClipsError: more clips were unreadable than allowed.
            PeerError: another rank cannot go on.
        """
        self._trackers, self._inspection = trackers, inspection
        with self._agreement.signals.deferred():
            try:
                self._run(train, validation)
            except StopAgreed:
                self._leave()

    def _run(self, train: TrainingStream, validation: FiniteStream | None) -> None:
        state = self._state
        prefetcher = StepPrefetcher(
            iter(train(state.next_micro_batch, dict(state.positions))),
            self._config.data.micro_batches_per_step // self._agreement.distributed.world,
            self._runner.count_targets,
            len(self._stage.trainables),
            self._agreement,
            self._clock,
        )
        set_training(self._stage, True)
        if state.record is not None:
            ended = self._end_record(validation)
            if self._is_due(self._config.checkpoint.every_steps):
                self._save(ended)
        while not self._progress.is_last:
            self._agreement.recorder.note(state.step + 1)
            self._after_step(self._update(prefetcher), validation)
        self._saver.finish(lambda: self._agreement.take(lambda: None))

    def _update(self, prefetcher: StepPrefetcher) -> StepResult:
        """Take one optimizer step. Collective."""
        step, inspection = self._state.step + 1, self._inspection
        batches, totals, times = prefetcher.take()
        self._progress.begin_step(*times)
        self._agreement.recorder.batches = batches
        result = StepResult(batches=batches)
        updates = self._stage.updates if inspection is None else inspection.updates
        phases = self._runner.phases(batches, step, totals, result, updates)
        for phase, trainable in enumerate(phases):
            if phase == 0 and not self._progress.is_last:
                prefetcher.begin()  # the host reads while the device is at the first update
            if inspection is not None:
                inspection.check_gradients(trainable)
        return result

    def _count(self, result: StepResult) -> None:
        """Move the state behind a step, and count what it read and did. Collective at first."""
        if self._inspection is not None and self._inspection.end_step():
            self._inspection = None
        self._counters.count(result.batches)
        for batch in result.batches:
            figures = {"data/padding_share": batch.padding, "data/epoch": float(batch.epoch)}
            result.means.add(figures, 1.0)
        self._state.step = self._progress.step = self._state.step + 1
        self._state.next_micro_batch += self._config.data.micro_batches_per_step
        window = self._config.trainer.left_out_window_steps
        note_left_out(self._state, result.skipped, result.spikes, window)
        self._taken |= result.taken
        self._left_out |= result.left_out

    def _after_step(self, result: StepResult, validation: FiniteStream | None) -> None:
        """Count a step; write, validate and save what is due after it. Collective."""
        self._count(result)
        state, trainer = self._state, self._config.trainer
        is_logged = state.step == 1 or self._is_due(trainer.log_every_steps)
        is_validated = validation and self._is_due(trainer.validate_every_steps)
        is_saved = self._is_due(self._config.checkpoint.every_steps)
        is_recorded = bool(is_logged or is_validated)
        if is_recorded or is_saved or result.skipped or result.spikes:
            figures = self._counters.reduce(state, result.means if is_recorded else None)
            check_left_out(state, trainer.left_out_limits)
        if result.skipped or result.spikes:
            check_first_steps(state, self._left_out, self._taken, is_last=self._progress.is_last)
        record: dict[str, Any] | None = None
        if is_recorded:
            self._saver.check()
            state.record = {**figures, **self._shared_figures(result)}
            record = self._end_record(validation if is_validated else None)
        for tracker in self._trackers:
            tracker.advance(state.step)
        self._saver.poll()
        if is_saved:
            self._save(record)

    def _end_record(self, validation: FiniteStream | None) -> dict[str, Any]:
        """Write the record of this step, with a validation if there is one. Collective."""
        state = self._state
        record = dict(state.record or {})
        if validation is not None:
            with self._clock.pausing("validation"):
                record |= validate(
                    self._stage,
                    self._gallery.watch(validation()),
                    self._agreement.distributed,
                    seed=self._config.seed,
                    agreement=self._agreement,
                )
        for tracker in self._trackers:
            tracker.log(state.step, record)
        if validation is not None:
            is_last = self._progress.is_last
            log_listening(self._stage, state.step, record, self._agreement, is_last=is_last)
            with self._clock.pausing("samples"), averaged(self._stage):
                self._gallery.show(state.step, self._trackers)
        state.record = None
        return record

    def _leave(self) -> None:
        """Save what is done since the last checkpoint, and leave. Collective.

        Raises:
            Preempted: always.
        """
        if (step := self._state.step) > self._saved_step:
            self._counters.reduce(self._state)
            self._save()
        self._saver.leave()
        resume = self._config.checkpoint.resume
        other = "" if resume == "auto" else f", with checkpoint.resume=auto for {resume}"
        raise Preempted(f"told to leave; the same command goes on from step {step}{other}")

    def _is_due(self, every_steps: int) -> bool:
        """Tell whether something is due at this step; at the last one everything is."""
        return self._progress.is_last or (every_steps > 0 and self._state.step % every_steps == 0)

    def _shared_figures(self, result: StepResult) -> dict[str, Any]:
        """Return the record's figures that all ranks know, and begin the next record."""
        return {
            **self._saver.figures(),
            **{name: float(value) for name, value in result.figures.items()},
            **drain_figures(self._state),
        }

    def _save(self, record: Mapping[str, Any] | None = None) -> None:
        """Begin a checkpoint of this step, with its record if there is one. Collective."""
        if self._progress.is_last:
            check_weights(self._stage.trainables, self._agreement.distributed)
        self._saved_step = self._state.step
        self._state.time_sec, self._state.ending_sec, _ = self._clock.times
        with self._clock.ending("checkpoint"):
            self._saver.save(self._stage.trainables, self._state, record)
