import numpy as np
import pytest
import torch
from torch import Tensor

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.make import make_speech_encoder

HOP = 640
LENGTHS = (40 * HOP + 17, 12 * HOP, HOP, 25 * HOP + 639)


def padded_batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    waves = torch.zeros(len(LENGTHS), 1, max(LENGTHS))
    for wave, length in zip(waves, LENGTHS, strict=True):
        wave[0, :length] = 0.1 * torch.randn(length)
    return waves, torch.tensor(LENGTHS)


@pytest.mark.parametrize("subtract_clip_mean", [True, False])
def test_features_of_a_clip_do_not_depend_on_its_batch(subtract_clip_mean: bool) -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig(subtract_clip_mean=subtract_clip_mean))
    waves, lengths = padded_batch()
    features, mask = encoder(waves, lengths)
    for wave, length, together, valid in zip(waves, LENGTHS, features, mask, strict=True):
        alone, all_valid = encoder(wave[None, :, :length], torch.tensor([length]))
        assert all_valid.all()
        assert valid.sum() == length // HOP
        torch.testing.assert_close(together[valid], alone[0], rtol=0, atol=1e-4)


def test_there_are_as_many_frames_as_whole_hops_and_padding_is_zero() -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig(num_mels=20))
    waves, lengths = padded_batch()
    features, mask = encoder(waves, lengths)
    assert features.shape == (4, max(LENGTHS) // HOP, encoder.dim) == (4, 40, 40)
    assert mask.sum(dim=1).tolist() == [length // HOP for length in LENGTHS]
    assert not features[~mask].any()
    assert encoder.frame_rate_hz == 50


def test_what_lies_beyond_a_clips_length_is_not_heard() -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig())
    waves, lengths = padded_batch()
    noisy = waves.clone()
    noisy[1, 0, LENGTHS[1] :] = torch.randn(max(LENGTHS) - LENGTHS[1])
    torch.testing.assert_close(encoder(noisy, lengths).features, encoder(waves, lengths).features)


def test_features_are_the_log_mel_around_its_clip_mean_and_its_regression_slope() -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig(num_mels=8))
    wave = 0.1 * torch.randn(1, 1, 30 * HOP)
    features = encoder(wave, torch.tensor([30 * HOP])).features[0].numpy()
    mel = encoder.mel(wave)[0].numpy()
    np.testing.assert_allclose(features[:, :8].T, mel - mel.mean(axis=1, keepdims=True), atol=1e-5)
    held = np.pad(mel, ((0, 0), (2, 2)), mode="edge")
    slopes = [np.polyfit(range(-2, 3), held[:, t : t + 5].T, deg=1)[0] for t in range(30)]
    np.testing.assert_allclose(features[:, 8:], np.stack(slopes), atol=1e-4)


def test_a_louder_clip_has_the_same_features() -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig())
    wave, length = 0.1 * torch.randn(1, 1, 20 * HOP), torch.tensor([20 * HOP])
    quiet, loud = encoder(wave, length).features, encoder(3.0 * wave, length).features
    torch.testing.assert_close(quiet, loud, rtol=0, atol=1e-3)


def test_the_encoder_has_no_parameters_and_gives_no_gradients() -> None:
    encoder = make_speech_encoder(SpeechEncoderConfig())
    wave = torch.randn(1, 1, HOP, requires_grad=True)
    assert not list(encoder.parameters())
    assert not encoder(wave, torch.tensor([HOP])).features.requires_grad
