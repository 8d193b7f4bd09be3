"""Gallery of the same few validation clips, as the networks see them time after time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsv2.data.stream.batch import TUPLES_OF_BATCH, Batch
from gsv2.seeds import seed_torch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Panel, Stage
from gsv2.training.telemetry.samples import write_samples
from gsv2.training.telemetry.tracking import Tracker, TrackingConfig

logger = logging.getLogger(__name__)


class Gallery:
    """Keeps the first clips of the validation and shows their panels.

    Micro-batch 0 belongs to the main rank on any number of ranks, so the clips are always the
    same. Stages without panels have none written.
    """

    def __init__(
        self,
        stage: Stage,
        distributed: Distributed,
        config: TrackingConfig,
        folder: Path,
        seed: int,
    ) -> None:
        self._trainables = stage.trainables
        self._stage = stage if config.samples else None
        self._distributed = distributed
        self._config = config
        self._folder = folder
        self._seed = seed
        self._clips: Batch | None = None

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of a validation, keeping the first clips of the first with any."""
        is_open = self._stage is not None and self._distributed.is_main and self._clips is None
        for batch in batches:
            if is_open and batch.weight and batch.num_clips:
                self._clips = first_clips(batch, self._config.samples)
                is_open = False
            yield batch

    def show(self, step: int, trackers: Sequence[Tracker]) -> None:
        """Write the panels of this step and tell the trackers; the main rank alone.

        Collective where ZeRO-3 shards a network: then all ranks run it, as it needs them all.
        """
        if self._stage is None:
            return
        clips = self._clips
        if self._is_sharded():
            clips = self._distributed.broadcast(clips)
        elif not self._distributed.is_main:
            return
        if clips is None:
            return
        panels = self._make_panels(self._stage, clips)
        if not panels or not self._distributed.is_main:
            return
        try:
            files = write_samples(self._folder, step, panels, self._config.keep_samples)
        except OSError as error:
            logger.warning("step %d: no samples: %s", step, error)
            return
        for tracker in trackers:
            tracker.show(step, files)

    def _make_panels(self, stage: Stage, clips: Batch) -> Sequence[Panel]:
        modules = [trainable.module for trainable in self._trainables.values()]
        was_training = [module.training for module in modules]
        for module in modules:
            module.eval()
        seed_torch(self._seed, "samples")
        with torch.no_grad():
            panels = stage.panels(clips.to(self._distributed.device))
        for module, mode in zip(modules, was_training, strict=True):
            module.train(mode)
        return panels

    def _is_sharded(self) -> bool:
        """Tell, alike on all ranks, whether ZeRO-3 has partitioned a network."""
        return any(trainable.is_partitioned for trainable in self._trainables.values())


def first_clips(batch: Batch, num_clips: int) -> Batch:
    """Return a copy of the first clips of a batch, without the rows that they were packed into."""
    per_clip: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            per_clip[field.name] = value[:num_clips].clone()
        elif isinstance(value, tuple) and field.name not in TUPLES_OF_BATCH:
            per_clip[field.name] = value[:num_clips]
    per_clip |= {"bad": (), "packed_row": None, "num_packed_rows": 0, "row_tokens": 0}
    return replace(batch, **per_clip)
