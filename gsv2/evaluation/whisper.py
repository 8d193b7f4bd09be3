"""Whisper (arXiv 2212.04356), loaded by transformers from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.model_folder import folder_identity, load_folder
from gsv2.evaluation.sentence import UNKNOWN_LANGUAGE

_RATE_HZ = 16_000
_MAX_TOKENS = 200
"""Most tokens of a sentence: half a minute of speech; a model that repeats itself ends there."""
_ENGLISH = "en"
_OTHER_TAGS = {"nb": "no", "fil": "tl", "jv": "jw"}
"""BCP 47 tag -> Whisper's own, where they differ."""


class Whisper:
    """Recogniser of the languages that its folder knows; decodes greedily, without timestamps."""

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        """Load the model and its processor.

        Raises:
            ValueError: no such folder, or not one of Whisper.
        """
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        self._device = device or torch.device("cpu")
        self._processor: Any = load_folder(WhisperProcessor, folder)
        self._model: Any = load_folder(WhisperForConditionalGeneration, folder)
        self._model.to(self._device).eval()
        self._model.generation_config.max_length = _MAX_TOKENS
        self._languages: dict[str, int] = (
            getattr(self._model.generation_config, "lang_to_id", None) or {}
        )
        self.name = folder.resolve().name
        self.identity = folder_identity("whisper", folder)

    def supports(self, language: str) -> bool:
        """See `gsv2.evaluation.judges.Recognizer`; a multilingual model guesses an unknown one."""
        if not self._languages:
            return language.split("-")[0] == _ENGLISH
        return language == UNKNOWN_LANGUAGE or f"<|{_whisper_tag(language)}|>" in self._languages

    @torch.inference_mode()
    def transcribe(self, wave: np.ndarray, language: str) -> str:
        """See `gsv2.evaluation.judges.Recognizer`."""
        inputs = self._processor(
            resample(wave, SAMPLE_RATE, _RATE_HZ),
            sampling_rate=_RATE_HZ,
            return_tensors="pt",
            return_attention_mask=True,
        )
        options: dict[str, Any] = {"do_sample": False}
        if self._languages:
            options["task"] = "transcribe"
            if language != UNKNOWN_LANGUAGE:
                options["language"] = _whisper_tag(language)
        tokens = self._model.generate(
            inputs.input_features.to(self._device, self._model.dtype),
            attention_mask=inputs.attention_mask.to(self._device),
            num_beams=1,
            **options,
        )
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()


def _whisper_tag(language: str) -> str:
    primary = language.split("-")[0]
    return _OTHER_TAGS.get(primary, primary)
