"""Floating-point operations of a step of the waveform stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gsv2.data.stream.batch import Batch
from gsv2.models.vits2.flops import DurationFlops, VITS2Flops
from gsv2.models.vits2.model import VITS2
from gsv2.stages.vits2_config import (
    DISCRIMINATOR,
    DURATION_DISCRIMINATOR,
    GENERATOR,
    VITS2ModelSection,
)
from gsv2.stages.vits2_inputs import text_lengths
from gsv2.training.stage import audio_workload


class StepFlops:
    """Counts what micro-batches cost the networks; on the networks themselves at the first one.

    Args:
        section: section `model`.
        network: the waveform model.
    """

    def __init__(self, section: VITS2ModelSection, network: VITS2) -> None:
        self._section = section
        self._network = network
        self._counted: VITS2Flops | None = None
        self._durations: DurationFlops | None = None

    def of(self, batch: Batch, step: int, total_steps: float) -> Mapping[str, float]:
        """Return what the clips of a batch on the host cost the networks in a step.

        Each clip counts with its own length, and its text with its own.
        """
        section, config = self._section.discriminator, self._network.config
        if self._counted is None:
            of = (config, section.network(), self._section.segment_frames)
            self._counted = VITS2Flops(*of)
            if self._section.duration_discriminator is not None:
                judge = self._section.duration_discriminator
                self._durations = DurationFlops(judge, config.channels)
        frames = [samples // config.mel.hop_length for samples in audio_workload(batch).samples]
        tokens = text_lengths(batch, self._network)
        judges, trains = section.judges_at(step, total_steps), section.trains_at(step, total_steps)
        segment = judges * self._counted.judgement + trains * self._counted.discriminator_update
        return {
            GENERATOR: self._counted.generator(frames, tokens),
            DISCRIMINATOR: batch.num_clips * segment,
            **self._of_durations(tokens or (), judges=judges, trains=trains),
        }

    def _of_durations(
        self, tokens: Sequence[int], *, judges: bool, trains: bool
    ) -> dict[str, float]:
        """Return what texts cost the duration discriminator, if there is one."""
        if self._durations is None:
            return {}
        judged = judges * self._durations.judgement(tokens)
        return {DURATION_DISCRIMINATOR: judged + trains * self._durations.update(tokens)}
