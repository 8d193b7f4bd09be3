"""Speech of a waveform model that reads text."""

from pathlib import Path

import torch

from gsv2.models.vits2.text_speech import (
    TextSpeech,
    TextSpeechOptions,
    speak_aligned,
    speak_text,
    spoken_frames,
)
from gsv2.text.encoders.interface import TextTokens
from tests.support.tiny_text_vits2 import make_text_stage


def test_speech_is_as_long_as_its_durations_and_0_at_padding(tmp_path: Path) -> None:
    model = make_text_stage(tmp_path).trainables["generator"].module.eval()
    text = TextTokens(*model.text_prior.text_encoder.tokenize(["a longer text", "so"]))
    style = torch.randn(1, model.config.style.dim)
    spoken = speak_text(model, text, style, TextSpeechOptions())
    frames = spoken.durations.sum(dim=1)
    assert torch.equal(frames, spoken_frames(model, text, style.expand(2, -1)))
    assert spoken.wave.shape == (2, 1, int(frames.max()) * model.config.mel.hop_length)
    for row, length in enumerate((frames * model.config.mel.hop_length).tolist()):
        assert (spoken.wave[row, 0, length:] == 0).all()
    again = speak_text(model, text, style, TextSpeechOptions())
    assert torch.equal(spoken.wave, again.wave)  # at scale 0 no noise is in it


def test_a_rate_shortens_speech(tmp_path: Path) -> None:
    model = make_text_stage(tmp_path).trainables["generator"].module.eval()
    text = TextTokens(*model.text_prior.text_encoder.tokenize(["a longer text, said slowly"]))
    style = torch.randn(1, model.config.style.dim)
    lengths = [
        int(speak_text(model, text, style, TextSpeechOptions(rate=rate)).durations.sum())
        for rate in (0.125, 0.25, 4.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2] > 0


def test_each_noise_has_a_factor_and_comes_from_the_default_generator(tmp_path: Path) -> None:
    model = make_text_stage(tmp_path).trainables["generator"].module.eval()
    text = TextTokens(*model.text_prior.text_encoder.tokenize(["a longer text"]))
    style = torch.randn(1, model.config.style.dim)

    def spoken(seed: int, **options: float) -> TextSpeech:
        torch.manual_seed(seed)
        return speak_text(model, text, style, TextSpeechOptions(**options))

    noisy = [spoken(seed, noise_scale=1.0) for seed in (1, 1, 2)]
    assert torch.equal(noisy[0].wave, noisy[1].wave)
    assert torch.equal(noisy[0].durations, noisy[2].durations)
    assert not torch.equal(noisy[0].wave, noisy[2].wave)
    drawn = [spoken(seed, duration_noise_scale=2.0) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0].durations, drawn[1].durations)
    assert not torch.equal(drawn[0].durations, drawn[2].durations)


def test_an_aligned_text_is_as_long_as_its_recording_whatever_the_padding(tmp_path: Path) -> None:
    model = make_text_stage(tmp_path).trainables["generator"].module.eval()
    tokenize, hop = model.text_prior.text_encoder.tokenize, model.config.mel.hop_length
    lengths, style = torch.tensor([30, 21]), torch.randn(2, model.config.style.dim)
    mask = torch.arange(30) < lengths[:, None]
    magnitude = torch.rand(2, model.config.mel.num_bins, 30) * mask[:, None]
    text = TextTokens(*tokenize(["a longer text", "so"]))
    wave = speak_aligned(model, text, magnitude, lengths, style)
    assert wave.shape == (2, 1, 30 * hop)
    assert wave.abs().max() <= 1
    assert not wave[1, :, 21 * hop :].any()
    short = TextTokens(*tokenize(["so"]))
    alone = speak_aligned(model, short, magnitude[1:, :, :21], lengths[1:], style[1:])
    torch.testing.assert_close(wave[1:, :, : 21 * hop], alone, rtol=0, atol=1e-5)
    assert torch.equal(speak_aligned(model, text, magnitude, lengths, style), wave)  # no noise
