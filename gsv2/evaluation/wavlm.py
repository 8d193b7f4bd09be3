"""WavLM for speaker verification (arXiv 2110.13900), loaded by transformers from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.model_folder import folder_identity, load_folder

_RATE_HZ = 16_000
_MIN_SEC = 1.0
"""Shorter speech is followed by silence: the x-vector's convolutions need some frames."""


class WavLM:
    """Speaker encoder: a folder of `WavLMForXVector`, e.g. microsoft/wavlm-base-plus-sv."""

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        """Load the model and its feature extractor.

        Raises:
            ValueError: no such folder, or not one of this model.
        """
        from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

        self._device = device or torch.device("cpu")
        self._extractor: Any = load_folder(Wav2Vec2FeatureExtractor, folder)
        self._model: Any = load_folder(WavLMForXVector, folder)
        self._model.to(self._device).eval()
        self.name = folder.resolve().name
        self.identity = folder_identity("wavlm", folder)

    @torch.inference_mode()
    def embed(self, wave: np.ndarray) -> np.ndarray:
        """See `gsv2.evaluation.judges.SpeakerEncoder`."""
        heard = resample(wave, SAMPLE_RATE, _RATE_HZ)
        missing = round(_MIN_SEC * _RATE_HZ) - len(heard)
        inputs = self._extractor(
            np.pad(heard, (0, max(0, missing))), sampling_rate=_RATE_HZ, return_tensors="pt"
        )
        output = self._model(inputs.input_values.to(self._device))
        return F.normalize(output.embeddings[0].float(), dim=0).cpu().numpy()
