"""Trainer of any stage: resumes a run and brings it to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from gsv2.config import config_to_dict
from gsv2.data.plan.plan import check_step
from gsv2.seeds import seed_torch
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.archive import archive_checkpoints
from gsv2.training.checkpoints.checkpoint import clean_checkpoints
from gsv2.training.checkpoints.fingerprint import Fingerprint, RunIdentity
from gsv2.training.checkpoints.mirror import CheckpointMirror, mirror_of
from gsv2.training.checkpoints.restore import RestorePoint, check_snapshot
from gsv2.training.checkpoints.resume import find_checkpoint, is_own, send_missing
from gsv2.training.checkpoints.saver import Saver
from gsv2.training.config import RunConfig
from gsv2.training.distributed.agreement import RankAgreement
from gsv2.training.distributed.background import on_main_in_background
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.failure import FlightRecorder, stacks_at_sigterm
from gsv2.training.faults.signals import StopSignals
from gsv2.training.faults.watchdog import Watchdog
from gsv2.training.listening import recall_listening
from gsv2.training.loop import FiniteStream, TrainingLoop, TrainingStream
from gsv2.training.prepare import (
    attach_averages,
    attach_engines,
    attach_loss_scales,
    attach_progress,
    prepare,
    recompute_activations,
)
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.run_folder.records import read_records, truncate_records
from gsv2.training.run_folder.shared import check_shared
from gsv2.training.run_folder.status import recorded_status
from gsv2.training.schedule import RunProgress
from gsv2.training.stage import Stage
from gsv2.training.telemetry.tracking import Tracker, open_trackers
from gsv2.training.telemetry.weights_and_biases import stored_wandb_id

logger = logging.getLogger(__name__)


class Trainer:
    """Fits any stage."""

    def __init__(
        self, config: RunConfig, distributed: Distributed, signals: StopSignals | None = None
    ) -> None:
        """Check that the ranks can share a step.

        Args:
            signals: what this process was told; None for a run that nobody tells to leave.

        Raises:
            ValueError: the ranks do not divide `data.micro_batches_per_step`.
        """
        check_step(config.data.micro_batches_per_step, distributed.world)
        self._config = config
        self._distributed = distributed
        self._signals = signals or StopSignals()
        self.folder = RunFolder(config.run.folder)

    def fit(
        self,
        stage: Stage,
        train: TrainingStream,
        validation: FiniteStream | None = None,
        initial: FiniteStream | None = None,
        dataset: Fingerprint | None = None,
    ) -> TrainState:
        """Train to the end of the run, from the last checkpoint if there is one. Collective.

        The end is the step `trainer.max_steps`, or the one at which `trainer.max_minutes` are over.

        Args:
            stage: what to train; its engines are set here.
            train: the training stream.
            validation: finite and equally long on every rank; None for no validation.
            initial: what `stage.initialise` sees, the same on every rank; None for
                the training stream from its start.
            dataset: what `train` depends on; a checkpoint of another one is refused.

        Returns:
            Where the run stands at its end.

        Raises:
            CheckpointError: the checkpoint to resume from is missing, damaged or of another run.
            TrainingError: more updates were skipped than allowed.
            TooManyBadClipsError: more clips were unreadable than allowed.
            PeerError: another rank cannot go on.
            Preempted: a rank was told to leave, and everything done is saved.
        """
        begun, config = time.perf_counter(), self._config
        identity = RunIdentity(seed=config.seed, lanes=config.data.lanes, dataset=dataset)
        mirror = mirror_of(config.checkpoint.target, config.run.name)
        begin = partial(self._initialise, stage, initial or partial(train, 0, {}))
        restored = self._restore(stage, identity, mirror)
        state = begin() if restored is None else restored.state
        progress = self._progress(state)
        self._attach(stage, progress, restored)
        if progress.is_last and state.record is None:
            logger.info("%s is finished at step %d", self.folder.path, state.step)
            return state
        if restored is not None and self._distributed.is_main:
            recall_listening(stage, read_records(self.folder.metrics))
        device, world = self._distributed.device, self._distributed.world
        create = partial(self.folder.create, self._config, world=world, device=device)
        self._distributed.on_main(create)
        with ExitStack() as stack:
            trackers = self._open_trackers(stack, state, progress)
            recorder = FlightRecorder(self.folder.path, self._distributed.rank, device)
            saver = self._make_saver(identity, mirror, recorder)
            stack.callback(saver.close)
            self._watch(stack, recorder)
            inspection = prepare(config, stage, self._distributed, self.folder.note)
            attach_loss_scales(stage, state.loss_scales)
            agreement = RankAgreement(self._distributed, self._signals, recorder)
            state.time_sec += time.perf_counter() - begun
            loop = TrainingLoop(config, stage, state, progress, agreement, saver)
            loop.run(train, validation, trackers, inspection)
        return state

    def _attach(self, stage: Stage, progress: RunProgress, restored: RestorePoint | None) -> None:
        """Give the networks of a stage their engines, and the weights to go on from. Collective."""
        attach_progress(stage.trainables, progress)
        recompute_activations(stage.trainables, self._config.trainer.activation_checkpointing)
        attach_engines(stage.trainables, self._config.engines, self._distributed)
        attach_averages(stage.trainables)
        if restored is not None:
            restored.load(stage.trainables, self._distributed)

    def _make_saver(
        self, identity: RunIdentity, mirror: CheckpointMirror | None, recorder: FlightRecorder
    ) -> Saver:
        config, distributed = self._config.checkpoint, self._distributed
        return Saver(self.folder.path, config, distributed, identity, mirror, recorder.beat)

    def _watch(self, stack: ExitStack, recorder: FlightRecorder) -> None:
        """Write down where this rank stands when it fails, is ended, or stands still."""
        among_others = self._distributed.world > 1
        if among_others:
            stack.enter_context(stacks_at_sigterm(self.folder.path, self._distributed.rank))
        stack.enter_context(recorder)
        if among_others:
            stack.enter_context(Watchdog(recorder, self._config.trainer.rank_timeout_sec))

    def _restore(
        self, stage: Stage, identity: RunIdentity, mirror: CheckpointMirror | None
    ) -> RestorePoint | None:
        """Find the checkpoint to go on from; drop records of steps after it. Collective."""
        run, config = self.folder.path, self._config.checkpoint

        def find() -> RestorePoint | None:
            if mirror is not None:
                mirror.check_writable()
            clean_checkpoints(run)
            path = find_checkpoint(run, config.resume, mirror)
            if path is None:
                found, state = None, TrainState()
            else:
                found = check_snapshot(path, stage.trainables, identity, config.accept)
                state = found.state
            if config.resume != "auto" or path is None:
                archive_checkpoints(run, path, state.step, mirror)
            if not is_own(run, config.resume, mirror):
                state.wandb_id = None
            if mirror is not None:
                mirror.clean()
                if path is not None and config.resume == "auto":
                    is_last = self._progress(state).is_last
                    send_missing(mirror, path, state.step, is_last=is_last)
            truncate_records(self.folder.quarantine, state.step)
            truncate_records(self.folder.metrics, state.last_record)
            return found

        check_shared(self._distributed, run)
        return on_main_in_background(self._distributed, "restore", find)

    def _initialise(self, stage: Stage, initial: FiniteStream) -> TrainState:
        """Begin a fresh run."""
        seed_torch(self._config.seed, "initialise")
        stage.initialise(batch.to(self._distributed.device) for batch in initial())
        return TrainState()

    def _progress(self, state: TrainState) -> RunProgress:
        """Return how far a run has come that stands at `state`."""
        return RunProgress(
            max_steps=self._config.trainer.max_steps,
            max_sec=self._config.trainer.max_minutes * 60,
            step=state.step,
            elapsed_sec=state.time_sec,
            ending_sec=state.ending_sec,
        )

    def _open_trackers(
        self, stack: ExitStack, state: TrainState, progress: RunProgress
    ) -> Sequence[Tracker]:
        """Open the trackers of the main rank; the others tell nobody. Collective."""
        config, run = self._config, self.folder.path
        about = {"stage": config.stage, "max_steps": config.trainer.max_steps}
        every = config.trainer.log_every_steps
        opened: list[Tracker] = []
        if config.tracking.wandb != "disabled":
            find_id = partial(stored_wandb_id, run, state.wandb_id)
            state.wandb_id = self._distributed.on_main(find_id)

        def open_all() -> None:
            stack.enter_context(recorded_status(run, log_every_steps=every, **about))
            trackers = open_trackers(
                config.tracking,
                run,
                name=config.run.name,
                values=config_to_dict(config),
                done=state.last_record,
                progress=progress,
            )
            opened.extend(stack.enter_context(trackers))

        self._distributed.on_main(open_all)
        return opened
