"""The voice encoder against the package whose weights it has."""

import numpy as np
import pytest
import torch

from gsv2.evaluation.voice_encoder import VoiceEncoder
from tests.support.tiny_corpus import synthetic_wave

LARGE = {
    15: 0.1774, 36: 0.2102, 111: 0.1516, 120: 0.1592, 126: 0.2314, 154: 0.1950,
    163: 0.2538, 165: 0.1520, 168: 0.1504, 207: 0.1896, 213: 0.2735, 246: 0.1618,
}  # fmt: skip
"""Entries of `resemblyzer.VoiceEncoder().embed_utterance(glide(2.5, 100, 0))` above 0.15, by
Resemblyzer 0.1.4 with librosa 0.11."""
COSINE = 0.5873771
"""Cosine of that vector and of `glide(4.3, 220, 2)`'s there."""


def glide(seconds: float, hz: float, seed: int) -> torch.Tensor:
    time = np.arange(int(seconds * 16000)) / 16000
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * time + seed))) / 16000
    voiced = sum(np.sin(n * phase) / n for n in range(1, 9))
    voiced = voiced * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return torch.from_numpy((0.1 * voiced + 0.005 * noise).astype(np.float32))


@pytest.fixture(scope="module")
def encoder():
    return VoiceEncoder()


def test_vectors_are_those_of_the_package(encoder):
    vector, other = (
        encoder.embed_levelled(glide(2.5, 100, 0)),
        encoder.embed_levelled(glide(4.3, 220, 2)),
    )
    assert np.flatnonzero(vector > 0.15).tolist() == list(LARGE)
    assert vector[list(LARGE)] == pytest.approx(list(LARGE.values()), abs=1e-3)
    assert float(vector @ other) == pytest.approx(COSINE, abs=1e-3)


def test_a_vector_has_length_one_and_hardly_knows_how_loud_a_quiet_voice_is(encoder):
    wave = synthetic_wave(1.5, 140.0, np.random.default_rng(0)) * 0.05
    vector, quieter = encoder.embed(wave), encoder.embed(wave * 0.1)
    assert vector.shape == (256,)
    assert np.linalg.norm(vector) == pytest.approx(1)
    np.testing.assert_allclose(quieter, vector, atol=1e-4)


def test_one_voice_is_nearer_than_another(encoder):
    rng = np.random.default_rng(0)
    low, again, high = (encoder.embed(synthetic_wave(2.0, hz, rng)) for hz in (100, 100, 260))
    assert low @ again > low @ high + 0.1


@pytest.mark.parametrize("num_samples", [1, 320, 32_000])
def test_short_and_silent_speech_has_a_vector(encoder, num_samples):
    vector = encoder.embed(np.zeros(num_samples, dtype=np.float32))
    assert np.isfinite(vector).all()
