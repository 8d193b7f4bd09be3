"""Validation of the waveform stage: whole clips spoken through codes, text and posterior.

`mel` are the mel distances in the style of another clip of the speaker. `all` adds cepstra, pitch,
voicing and spectra at several resolutions, and the clip's own style and that of all of the
speaker's clips in the batch, mixed: three times the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.audio.distances import cepstral_distortion, pitch_errors
from gsv2.audio.mel import MelSpectrogram
from gsv2.audio.multi_resolution import MultiResolutionSpectrogram
from gsv2.audio.pitch import track_pitch
from gsv2.losses.durations import length_error
from gsv2.losses.reconstruction import mel_distance
from gsv2.losses.stft import stft_loss
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.references import mean_styles, next_references
from gsv2.models.vits2.text_speech import speak_aligned, spoken_frames
from gsv2.nn.masks import length_mask
from gsv2.stages.vits2_config import ValidationFigures
from gsv2.stages.vits2_inputs import VITS2Inputs
from gsv2.training.stage import Panel


class SpokenClips(NamedTuple):
    """Clips as the network speaks them."""

    waves: Mapping[str, Tensor]
    """What they went through -> [C, 1, N], in the style of the next clip of each one's speaker;
    with `own` or `mixed` behind it, in that style."""
    frames: Tensor | None
    """[C] frames that the texts take by their predicted durations; None for a prior of codes."""


@torch.no_grad()
def speak_clips(
    model: VITS2, inputs: VITS2Inputs, figures: ValidationFigures = "mel"
) -> SpokenClips:
    """Speak clips without noise; texts with the durations of their recordings."""
    mask = length_mask(inputs.lengths, inputs.mel.shape[-1])
    own = model.style(inputs.mel, mask)
    other = own[next_references(inputs.sequence)]
    name = "through_text" if inputs.codes is None else "through_codes"
    waves = {name: _speak_prior(model, inputs, other)}
    waves["through_posterior"] = model.reconstruct(inputs.magnitude, inputs.lengths, other)
    if figures == "all":
        waves[f"{name}_own"] = _speak_prior(model, inputs, own)
        waves[f"{name}_mixed"] = _speak_prior(model, inputs, mean_styles(own, inputs.sequence))
    frames = None
    if inputs.codes is None and inputs.text is not None:
        frames = spoken_frames(model, inputs.text, other)
    return SpokenClips(waves, frames)


def _speak_prior(model: VITS2, inputs: VITS2Inputs, style: Tensor) -> Tensor:
    """Return clips [C, 1, N] through their codes or texts."""
    if inputs.codes is None:
        assert inputs.text is not None
        return speak_aligned(model, inputs.text, inputs.magnitude, inputs.lengths, style)
    assert inputs.code_lengths is not None
    return model.infer(inputs.codes, inputs.code_lengths, style, 0.0, text=inputs.text)


class ClipMeter:
    """Measures how far spoken clips are from their recordings.

    Args:
        mel: spectrogram of the mel distance; its frames are the model's.
        spectra: spectrograms of the STFT distance.
        figures: what is measured.
    """

    def __init__(
        self, mel: MelSpectrogram, spectra: MultiResolutionSpectrogram, figures: ValidationFigures
    ) -> None:
        self._mel = mel
        self._spectra = spectra
        self._figures = figures

    def measure(self, inputs: VITS2Inputs, spoken: SpokenClips) -> dict[str, Tensor]:
        """Return figures of spoken clips, means over clips.

        Returns:
            `mel_THROUGH`: mel distance; of texts also `length_error`: how far the logarithm of the
            predicted length is off. With `all` also `mcd_THROUGH` (mel-cepstral distortion, dB),
            `pitch_THROUGH` (semitones), `voicing_THROUGH` (share of frames), `stft_THROUGH`.
        """
        size = inputs.mel.shape[-1]
        mask = length_mask(inputs.lengths, size)
        target = self._mel(inputs.wave)[..., :size]
        figures = {}
        for name, wave in spoken.waves.items():
            mel = self._mel(wave)[..., :size]
            figures[f"mel_{name}"] = mel_distance(mel, target, mask)
            if self._figures == "all":
                figures[f"mcd_{name}"] = cepstral_distortion(mel, target, mask)
                figures |= self._by_wave(name, wave, inputs, mask)
        if spoken.frames is not None:
            figures["length_error"] = length_error(spoken.frames, inputs.lengths)
        return figures

    def _by_wave(
        self, name: str, wave: Tensor, inputs: VITS2Inputs, mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the figures that are of waves, not of their mels."""
        rate, hop = self._mel.config.sample_rate, self._mel.config.hop_length
        found, target = (
            track_pitch(x[:, 0, : mask.shape[1] * hop], rate, hop) for x in (wave, inputs.wave)
        )
        errors = pitch_errors(found, target, mask)
        lengths = (inputs.lengths * hop).tolist()
        spectra = [  # each clip alone: padding would count as a match
            stft_loss(*(self._spectra(x[i : i + 1, :, :length]) for x in (wave, inputs.wave)))
            for i, length in enumerate(lengths)
        ]
        return {
            f"pitch_{name}": errors.semitones,
            f"voicing_{name}": errors.voicing,
            f"stft_{name}": torch.stack(spectra).mean(),
        }


def clip_panels(
    keys: Sequence[str], inputs: VITS2Inputs, spoken: SpokenClips, hop_length: int
) -> list[Panel]:
    """Return each clip as recorded and as spoken."""
    waves = {"recording": inputs.wave, **spoken.waves}
    lengths = (inputs.lengths * hop_length).tolist()
    return [
        Panel(name=key, waves={title: wave[i, 0, :length] for title, wave in waves.items()})
        for i, (key, length) in enumerate(zip(keys, lengths, strict=True))
    ]
