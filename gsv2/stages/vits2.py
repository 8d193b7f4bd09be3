"""Training of the waveform model against its discriminators.

One pass of the generator serves both updates of a step: the discriminators learn from its wave,
detached, then the generator learns from the discriminators so updated (VITS, arXiv 2106.06103,
section 2.4). Before the discriminators start the generator learns from spectra alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.audio.mel import MelSpectrogram
from gsv2.audio.multi_resolution import MultiResolutionSpectrogram
from gsv2.audio.multi_resolution_mel import MultiResolutionMel
from gsv2.audio.pitch import track_pitch
from gsv2.data.stream.batch import Batch
from gsv2.losses.kl import kl_divergence
from gsv2.losses.pitch import pitch_loss
from gsv2.losses.reconstruction import multi_mel_distance
from gsv2.losses.stft import stft_loss
from gsv2.models.vits2.decoded import Decoded, LiveCodes, TrainedSegments
from gsv2.models.vits2.references import random_references
from gsv2.models.vits2.segments import cut_segments, random_starts
from gsv2.stages.vits2_adversarial import adversarial_updates, judged_terms
from gsv2.stages.vits2_config import (
    DISCRIMINATOR,
    DURATION_DISCRIMINATOR,
    GENERATOR,
    VITS2RunConfig,
)
from gsv2.stages.vits2_durations import alignable_clips, duration_terms
from gsv2.stages.vits2_flops import StepFlops
from gsv2.stages.vits2_inputs import VITS2Inputs, make_inputs, silent_batch
from gsv2.stages.vits2_network import vits2_members
from gsv2.stages.vits2_parts import make_parts
from gsv2.stages.vits2_quantizer import LivePass
from gsv2.stages.vits2_start import start_waveform
from gsv2.stages.vits2_validation import ClipMeter, clip_panels, speak_clips
from gsv2.training.stage import Panel, Trainable, Update, Workload, audio_workload


class _Run(NamedTuple):
    """One pass of a micro-batch, whose graph all updates share."""

    real: Tensor
    """[C, 1, N] segments of the recordings."""
    pitch: Tensor | None
    """[C, frames] of the segments, where the generator needs it."""
    decoded: Decoded
    """What the network made of the recordings."""
    share: float
    """What the losses count: 0 for silence in place of clips."""
    live: LivePass | None
    """The quantizer's pass, while it trains."""


class VITS2Stage:
    """Yields the discriminators' update, where one is due, then the generator's."""

    members: tuple[str, ...] = ("audio", "codes")
    """Members of a clip that a prior of codes needs; see `vits2_members`."""

    def __init__(self, config: VITS2RunConfig, device: torch.device) -> None:
        self.section = config.model
        self.members = vits2_members(config.model)
        self._init, self._max_steps = config.waveform_init, config.trainer.max_steps
        self.device = device
        parts = make_parts(config, device)
        self._network, self.model_config, self.codes = parts.network, parts.config, parts.codes
        self.precision, self.trainables = parts.precision, parts.trainables
        self.quantizer = parts.quantizer
        resolutions = config.model.mel_resolutions
        mels = resolutions.split(config.model.mel_loss.sample_rate) or [config.model.mel_loss]
        self._loss_mels = MultiResolutionMel(mels).to(device)
        self._loss_stft = MultiResolutionSpectrogram(config.model.stft_loss).to(device)
        figures = config.model.validation_figures
        mel = MelSpectrogram(config.model.mel_loss).to(device)
        self._meter = ClipMeter(mel, self._loss_stft, figures)
        self._flops = StepFlops(config.model, self._network)
        self._step = self.full_step

    @property
    def full_step(self) -> int:
        """The first step with every update; 1 if the discriminators join in no step of the run."""
        return self.section.discriminator.first_step(self._max_steps or math.inf) or 1

    @property
    def _total_steps(self) -> float:
        return self.trainables[GENERATOR].progress.total_steps

    @property
    def _judge_of_durations(self) -> Trainable | None:
        return self.trainables.get(DURATION_DISCRIMINATOR)

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Take weights that a fresh run starts from; start codebooks that train, by data."""
        judges = self.trainables[DISCRIMINATOR].module
        start_waveform(self._network.generator, judges, self._init)
        if self.quantizer is not None:
            self.quantizer.initialise(batches)
            entries = self.quantizer.network.codebooks.entries
            self._network.code_vectors.set_codebooks(entries)

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Count the clips: each gives one segment and one mean divergence."""
        num_clips = batch.num_clips if batch.weight > 0 else 0
        return dict.fromkeys(self.trainables, num_clips)

    def workload(self, batch: Batch) -> Workload:
        """Return the audio."""
        return audio_workload(batch)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return what the clips cost the networks in the step that was asked for last."""
        return self._flops.of(batch, self._step, self._total_steps)

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the discriminators' updates, the generator's, and that of a quantizer that trains.

        Which of them are due depends on the step alone: all ranks yield the same. Without a clip,
        the losses are 0.
        """
        self._step = step
        run = self._run(batch, step)
        section, autocast = self.section.discriminator, self.precision.autocast
        if section.trains_at(step, self._total_steps):
            r1 = section.r1_at(step, self._total_steps)
            of = (self.trainables, run.real, run.decoded, section, r1)
            for judgement in adversarial_updates(*of, autocast):
                yield _scaled(judgement, run.share)
        update = self._generator_update(run.real, run.pitch, run.decoded, step)
        if self.quantizer is None or run.live is None:
            yield _scaled(update, run.share)
            return
        yield _scaled(update._replace(loss=update.loss + run.live.probe), run.share)
        yield self.quantizer.update(run.live, run.share)
        self.quantizer.move_codebooks(self._network.code_vectors)

    def _run(self, batch: Batch, step: int) -> _Run:
        """Encode a micro-batch and decode its segments: the pass that all updates share."""
        counted, share = self._counted(batch)
        live: LivePass | None = None
        if self.quantizer is not None and self.quantizer.trains_at(step):
            live = self.quantizer.start_pass(counted, share)
        inputs = self._inputs(counted, None if live is None else live.output.codes)
        size = self.section.segment_frames
        starts = random_starts(inputs.lengths, size)
        reference = random_references(inputs.sequence, self.section.self_reference_probability)
        hop = self.model_config.mel.hop_length
        real = cut_segments(inputs.wave, starts * hop, size * hop)
        pitch = None
        if self._network.has_pitch:
            pitch = track_pitch(real[:, 0], self.model_config.mel.sample_rate, hop)
        noise = self.section.alignment_noise_at(step)
        with self.precision.autocast(GENERATOR, self.device):
            decoded: Decoded = self.trainables[GENERATOR](
                inputs.content(noise) if live is None else LiveCodes(live.leaf, inputs.text),
                inputs.magnitude,
                inputs.lengths,
                inputs.mel[reference],
                inputs.lengths[reference],
                TrainedSegments(starts, size, pitch),
            )
        return _Run(real, pitch, decoded, share, live)

    def _counted(self, batch: Batch) -> tuple[Batch, float]:
        """Return a batch with a clip and what the losses count: 0 for one that had none."""
        if batch.num_clips:
            return batch, 1.0
        return silent_batch(batch, self._network, self.device), 0.0

    def _inputs(self, batch: Batch, codes: Tensor | None = None) -> VITS2Inputs:
        """Return the inputs of a batch with a clip; `codes` that a quantizer has just made."""
        if codes is not None:
            batch = replace(batch, codes=codes, code_lengths=(codes[:, 0] >= 0).sum(dim=1))
        elif self.quantizer is not None and batch.codes is None:
            batch = self.quantizer.with_codes(batch)
        return make_inputs(batch, self._network)

    def _generator_update(
        self, real: Tensor, pitch: Tensor | None, decoded: Decoded, step: int
    ) -> Update:
        weights = self.section.loss_weights
        terms: dict[str, Tensor] = {}
        is_judged = self.section.discriminator.judges_at(step, self._total_steps)
        if is_judged:
            judges, kind = self.trainables[DISCRIMINATOR], self.section.discriminator.loss
            with self.precision.autocast(DISCRIMINATOR, self.device):
                terms |= judged_terms(judges, real, decoded.wave, kind)
        terms["mel"] = multi_mel_distance(self._loss_mels(decoded.wave), self._loss_mels(real))
        if weights.stft:
            terms["stft"] = stft_loss(self._loss_stft(decoded.wave), self._loss_stft(real))
        if decoded.contour is not None and pitch is not None:
            terms["pitch"] = pitch_loss(decoded.contour.log_hz, decoded.contour.voiced, pitch)
        mask = decoded.mask
        if decoded.aligned is not None:
            terms |= duration_terms(
                decoded.aligned, self._judge_of_durations if is_judged else None
            )
            mask = mask & alignable_clips(decoded.aligned).unsqueeze(1)
        terms["kl"] = kl_divergence(decoded.z_p, decoded.logs_q, decoded.m_p, decoded.logs_p, mask)
        factors = weights.at(step, self._total_steps)
        weighted = [factors[name] * term for name, term in terms.items()]
        metrics = {f"{GENERATOR}/{name}": term.detach() for name, term in terms.items()}
        return Update(GENERATOR, sum(weighted[1:], start=weighted[0]), metrics)

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the figures of whole clips, see `ClipMeter.measure`."""
        counted, share = self._counted(batch)
        inputs = self._inputs(counted)
        with self.precision.autocast(GENERATOR, self.device):
            spoken = speak_clips(self._network, inputs, self.section.validation_figures)
        figures = self._meter.measure(inputs, spoken)
        return {f"{GENERATOR}/{name}": share * figure for name, figure in figures.items()}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return each clip as recorded, through its codes or text and through the posterior."""
        inputs = self._inputs(self._counted(batch)[0])
        with self.precision.autocast(GENERATOR, self.device):
            spoken = speak_clips(self._network, inputs)
        return clip_panels(batch.keys, inputs, spoken, self.model_config.mel.hop_length)


def _scaled(update: Update, share: float) -> Update:
    metrics = {name: share * value for name, value in update.metrics.items()}
    return Update(update.trainable, share * update.loss, metrics)
