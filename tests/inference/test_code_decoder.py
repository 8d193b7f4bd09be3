"""Codes as speech."""

import numpy as np
import pytest
import torch

from gsv2.data.corpus.format import HOP_LENGTH
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_codes_become_two_frames_each(synthesizer, voice):
    reference = load_reference(voice)
    codes = synthesizer.encode(reference.wave)
    frames = len(reference.wave) // HOP_LENGTH
    assert codes.shape == (2, -(-frames // 2))
    wave = synthesizer.decode(codes, synthesizer.voice([reference]))
    assert wave.shape == (codes.shape[1] * 2 * HOP_LENGTH,)


def test_synthesis_leaves_the_global_random_numbers_alone(synthesizer, voice):
    state = torch.get_rng_state()
    synthesizer.synthesize("hello", [load_reference(voice)], sampling=SHORT)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_a_function_of_the_seed_and_none_at_scale_0(synthesizer, voice):
    reference = load_reference(voice)
    codes, own = synthesizer.encode(reference.wave), synthesizer.voice([reference])
    one, same, other = (synthesizer.decoder.decode(codes, own, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    still = [synthesizer.decoder.decode(codes, own, noise_scale=0.0, seed=s) for s in (1, 2)]
    assert np.array_equal(*still)
