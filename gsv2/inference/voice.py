"""Voice of references: what a waveform is spoken in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.audio.pitch import median_pitch
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.references import Reference
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.style import fuse_styles

_MIN_VOICED_FRAMES = 10
"""Fewer frames with a pitch, a fifth of a second, do not say a voice's."""


class Voice(NamedTuple):
    """What a waveform is spoken in."""

    style: Tensor
    """[1, dim]."""
    pitch_hz: float
    """Median pitch; 0 where none was found."""


@torch.inference_mode()
def make_voice(vits2: VITS2, references: Sequence[Reference], device: torch.device) -> Voice:
    """Return the voice that references have together.

    Args:
        vits2: waveform model on `device`, whose style it is.
        references: at least one.
        device: device to compute on.
    """
    styles = []
    for reference in references:
        mel = vits2.mel(torch.from_numpy(reference.wave)[None, None].to(device))
        mask = torch.ones(1, mel.shape[-1], dtype=torch.bool, device=device)
        styles.append(vits2.style(mel, mask))
    weights = [reference.weight for reference in references]
    return Voice(fuse_styles(torch.cat(styles), weights), fuse_pitches(references))


def fuse_pitches(references: Sequence[Reference]) -> float:
    """Return the mean in Hz, by weight and over intervals, of the median pitches of references.

    0 where none of them has a pitch.
    """
    total = octaves = 0.0
    for reference in references:
        hz = median_pitch(reference.wave, SAMPLE_RATE, _MIN_VOICED_FRAMES)
        if hz is not None:
            total += reference.weight
            octaves += reference.weight * math.log2(hz)
    return 2 ** (octaves / total) if total > 0 else 0.0
