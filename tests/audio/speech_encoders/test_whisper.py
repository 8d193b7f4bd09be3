from pathlib import Path

import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from gsv2.audio.speech_encoders.make import make_speech_encoder
from tests.support.tiny_speech_encoders import encoder_config, save_speech_encoder


def test_the_spectrogram_is_that_of_the_published_feature_extractor(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "whisper")
    network = make_speech_encoder(encoder_config(folder, "whisper")).network
    torch.manual_seed(1)
    wave = 0.1 * torch.randn(16_000)
    padded = torch.nn.functional.pad(wave, (0, 29 * 16_000))
    reference = WhisperFeatureExtractor.from_pretrained(folder)(
        wave.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    found = network.log_mel(padded[None])
    torch.testing.assert_close(found, reference.input_features, rtol=0, atol=1e-4)


def test_a_clip_that_fills_the_window_is_what_the_library_makes_of_it(tmp_path: Path) -> None:
    """100 frames of speech and 50 of silence are all that this tiny encoder takes."""
    folder = save_speech_encoder(tmp_path, "whisper")
    whole = WhisperModel.from_pretrained(folder).encoder
    torch.manual_seed(1)
    wave = 0.1 * torch.randn(1, 320 * 100)
    for layer in (2, 3):
        network = make_speech_encoder(encoder_config(folder, "whisper", layer=layer)).network
        mel = network.log_mel(torch.nn.functional.pad(wave, (0, 320 * 50)))
        with torch.no_grad():
            states = whole(mel, output_hidden_states=True)
            found = network(wave, torch.tensor([320 * 100]))
        expected = states.last_hidden_state if layer == 3 else states.hidden_states[layer]
        torch.testing.assert_close(found, expected[:, :100], rtol=0, atol=2e-5)


def test_longer_clips_are_cut_into_windows_that_know_nothing_of_each_other(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path, "whisper")
    network = make_speech_encoder(encoder_config(folder, "whisper")).network
    torch.manual_seed(1)
    waves = 0.1 * torch.randn(2, 320 * 130)
    waves[1, 320 * 20 :] = 0
    with torch.no_grad():
        found = network(waves, torch.tensor([320 * 130, 320 * 20]))
        second = network(waves[:1, 320 * 100 :], torch.tensor([320 * 30]))
    assert found.shape[1] == 130
    torch.testing.assert_close(found[:1, 100:], second, rtol=0, atol=2e-5)
