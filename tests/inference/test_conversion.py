"""Voice conversion: as long as the recording, in a voice, piece by piece; refusals by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference import conversion
from gsv2.inference.bundle import BundleError
from gsv2.inference.conversion import convert, convert_recording
from gsv2.inference.references import load_reference
from gsv2.inference.speech_file import SpeechFileError, VoiceRecordings
from gsv2.inference.synthesizer import Synthesizer

pytestmark = pytest.mark.usefixtures("without_watermark")


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle: Path) -> Synthesizer:
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_the_result_is_as_long_as_the_recording_and_in_the_voice(
    synthesizer: Synthesizer, voice: Path
) -> None:
    reference = load_reference(voice)
    said = reference.wave[:31_111]
    first, again = (convert(synthesizer, said, [reference]) for _ in range(2))
    assert first.shape == said.shape
    assert np.array_equal(first, again)
    other = replace(reference, wave=reference.wave[::-1].copy())
    assert not np.array_equal(convert(synthesizer, said, [other]), first)


def test_a_long_recording_is_converted_piece_by_piece(
    synthesizer: Synthesizer, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    real = synthesizer.encode

    def encode(wave: np.ndarray) -> torch.Tensor:
        pieces.append(len(wave))
        return real(wave)

    monkeypatch.setattr(synthesizer, "encode", encode)
    monkeypatch.setattr(conversion, "MAX_PIECE_SEC", 0.4)
    reference = load_reference(voice)
    assert len(convert(synthesizer, reference.wave, [reference])) == len(reference.wave)
    assert len(pieces) > 3
    assert max(pieces) <= 0.4 * SAMPLE_RATE
    assert sum(pieces) - len(reference.wave) < 1280


def test_what_cannot_be_converted_is_named(tmp_path: Path, tiny_bundle: Path, voice: Path) -> None:
    out, voices = tmp_path / "out.wav", VoiceRecordings([voice])
    silent = tmp_path / "silent.wav"
    save_wave(silent, np.zeros(SAMPLE_RATE, dtype=np.float32), SAMPLE_RATE)
    with pytest.raises(SpeechFileError, match=r"recording .*silent\.wav"):
        convert_recording(tiny_bundle, silent, out, voices)
    with pytest.raises(SpeechFileError, match="would be overwritten"):
        convert_recording(tiny_bundle, voice, voice, voices)
    with pytest.raises(ValueError, match=r"nowhere\.wav does not exist"):
        convert_recording(tiny_bundle, tmp_path / "nowhere.wav", out, voices)
    text_bundle = tmp_path / "bundle"
    text_bundle.mkdir()
    described = {
        "format_version": 1,
        "gsv2_version": "0",
        "files": {"vits2.safetensors": "0" * 64},
    }
    (text_bundle / "bundle.json").write_text(json.dumps(described))
    with pytest.raises(BundleError, match="has no quantizer, which makes codes"):
        convert_recording(text_bundle, voice, out, voices)
