"""WavLM from a folder: a tiny one of random weights."""

import numpy as np
import pytest

from gsv2.evaluation.wavlm import WavLM
from tests.support.tiny_corpus import synthetic_wave
from tests.support.tiny_judges import save_tiny_wavlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_wavlm(tmp_path_factory.mktemp("wavlm") / "tiny")


def test_vectors_are_those_of_the_model_of_transformers(folder):
    import soxr
    import torch
    from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector

    wave = synthetic_wave(1.5, 140.0, np.random.default_rng(0))
    slow = soxr.resample(wave, 32_000, 16_000)
    values = Wav2Vec2FeatureExtractor.from_pretrained(folder)(
        slow, sampling_rate=16_000, return_tensors="pt"
    ).input_values
    with torch.inference_mode():
        expected = WavLMForXVector.from_pretrained(folder).eval()(values).embeddings[0].numpy()
    found = WavLM(folder).embed(wave)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    assert WavLM(folder).name == "tiny"


def test_very_short_speech_has_a_vector(folder):
    vector = WavLM(folder).embed(np.zeros(100, dtype=np.float32))
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere must be a folder"):
        WavLM(tmp_path / "nowhere")
