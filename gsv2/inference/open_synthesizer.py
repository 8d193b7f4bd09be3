"""Synthesizer of a bundle, of whichever kind: a GPT and its waveform model, or text to wave."""

from __future__ import annotations

from pathlib import Path

import torch

from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer


def open_synthesizer(
    path: str | Path,
    device: torch.device | None = None,
    encoders: EncoderFolders = AS_IN_TRAINING,
) -> Synthesizer | TextSynthesizer:
    """Load a bundle, see `Synthesizer.from_bundle`."""
    if read_bundle_description(Path(path)).quantizer is None:
        return TextSynthesizer.from_bundle(path, device, encoders)
    return Synthesizer.from_bundle(path, device, encoders)
