"""Validation of the waveform stage: whole clips spoken through codes, text and posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.audio.mel import MelSpectrogram
from gsv2.losses.durations import length_error
from gsv2.losses.reconstruction import mel_distance
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.references import next_references
from gsv2.models.vits2.text_speech import speak_aligned, spoken_frames
from gsv2.nn.masks import length_mask
from gsv2.stages.vits2_inputs import VITS2Inputs
from gsv2.training.stage import Panel


class SpokenClips(NamedTuple):
    """Clips as the network speaks them, in the style of the next clip of each one's speaker."""

    waves: Mapping[str, Tensor]
    """What they went through -> [C, 1, N]."""
    frames: Tensor | None
    """[C] frames that the texts take by their predicted durations; None for a prior of codes."""


@torch.no_grad()
def speak_clips(model: VITS2, inputs: VITS2Inputs) -> SpokenClips:
    """Speak clips without noise; texts with the durations of their recordings."""
    reference = next_references(inputs.sequence)
    mask = length_mask(inputs.lengths, inputs.mel.shape[-1])
    style = model.style(inputs.mel[reference], mask[reference])
    posterior = model.reconstruct(inputs.magnitude, inputs.lengths, style)
    if inputs.text is not None:
        wave = speak_aligned(model, inputs.text, inputs.magnitude, inputs.lengths, style)
        frames = spoken_frames(model, inputs.text, style)
        return SpokenClips({"through_text": wave, "through_posterior": posterior}, frames)
    assert inputs.codes is not None
    assert inputs.code_lengths is not None
    wave = model.infer(inputs.codes, inputs.code_lengths, style, noise_scale=0.0)
    return SpokenClips({"through_codes": wave, "through_posterior": posterior}, None)


def clip_figures(
    mel: MelSpectrogram, inputs: VITS2Inputs, spoken: SpokenClips
) -> dict[str, Tensor]:
    """Return figures of spoken clips, means over clips.

    Returns:
        `mel_through_codes` or `mel_through_text`, and `mel_through_posterior`: mel distances. Of
        texts also `length_error`: how far the logarithm of the predicted length is off.
    """
    size = inputs.mel.shape[-1]
    mask = length_mask(inputs.lengths, size)
    target = mel(inputs.wave)[..., :size]
    figures = {
        f"mel_{name}": mel_distance(mel(wave)[..., :size], target, mask)
        for name, wave in spoken.waves.items()
    }
    if spoken.frames is not None:
        figures["length_error"] = length_error(spoken.frames, inputs.lengths)
    return figures


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
