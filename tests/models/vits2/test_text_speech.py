"""Speech of a waveform model that reads text."""

from pathlib import Path

import torch

from gsv2.models.vits2.text_speech import TextSpeechOptions, speak_text, spoken_frames
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
        for rate in (0.25, 1.0, 4.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2] > 0
