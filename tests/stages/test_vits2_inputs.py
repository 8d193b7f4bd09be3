from dataclasses import replace

import pytest
import torch

from gsv2.stages.vits2_inputs import make_inputs, silent_batch
from tests.support.hand_made_batches import make_clips
from tests.support.tiny_bundle import tiny_modules


@pytest.fixture(scope="module")
def model():
    return tiny_modules()["generator"]


def make_batch(*num_frames):
    C = len(num_frames)
    frames = torch.tensor(num_frames, dtype=torch.int64)
    longest = max(num_frames, default=0)
    names = tuple(f"clip{i}" for i in range(C))
    torch.manual_seed(0)
    return make_clips(
        range(C),
        keys=names,
        speakers=names,
        languages=names,
        texts=names,
        wave=torch.randn(C, 1, longest * 640),
        wave_lengths=frames * 640,
        codes=torch.zeros(C, 2, (longest + 1) // 2, dtype=torch.int64),
        code_lengths=(frames + 1) // 2,
    )


def test_spectrograms_have_the_frames_of_the_audio(model):
    inputs = make_inputs(make_batch(21, 12), model)
    assert inputs.lengths.tolist() == [21, 12]
    assert inputs.magnitude.shape == (2, 1025, 21)
    assert inputs.mel.shape == (2, 128, 21)


def test_codes_of_another_length_than_the_audio_are_refused(model):
    batch = make_batch(21, 12)
    assert batch.code_lengths is not None
    shifted = replace(batch, code_lengths=batch.code_lengths + torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="clip1: 12 frames of audio need 6 code frames, but it"):
        make_inputs(shifted, model)


def test_a_batch_without_clips_gets_one_silent_clip_that_fits(model):
    batch = silent_batch(make_batch(), model, torch.device("cpu"))
    inputs = make_inputs(batch, model)
    assert inputs.wave.abs().max() == 0
    assert inputs.lengths.tolist() == [8]
