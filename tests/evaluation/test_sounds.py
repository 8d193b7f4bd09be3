import io
from base64 import b64decode

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.sounds import draw_spectrogram, embed_audio


def content(uri: str, kind: str) -> io.BytesIO:
    assert uri.startswith(f"data:{kind};base64,")
    return io.BytesIO(b64decode(uri.partition(",")[2]))


def test_embedded_audio_is_the_wave():
    wave = np.sin(np.arange(SAMPLE_RATE) * 0.05).astype(np.float32) * 0.5
    decoded, rate = soundfile.read(content(embed_audio(wave), "audio/flac"))
    assert rate == SAMPLE_RATE
    np.testing.assert_allclose(decoded, wave, atol=2**-15)


def test_a_higher_tone_lies_higher_in_the_spectrogram():
    rows = []
    for hz in (200, 2000):
        wave = np.sin(2 * np.pi * hz * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
        picture = imread(content(draw_spectrogram(wave), "image/png"), format="png")
        assert picture.shape[:2] == (128, 100)
        rows.append(picture[..., :3].sum(axis=(1, 2)).argmax())
    assert rows[0] > rows[1]  # row 0 is the top


def test_a_shared_scale_shows_a_quieter_copy_darker():
    wave = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1

    def brightness(loudest):
        uri = draw_spectrogram(wave * 0.1, loudest)
        return imread(content(uri, "image/png"), format="png")[..., :3].mean()

    assert brightness(wave) < 0.8 * brightness(None)


@pytest.mark.parametrize("num_samples", [1, 100, 5000])
def test_silence_and_very_short_waves_can_be_drawn(num_samples):
    content(draw_spectrogram(np.zeros(num_samples, dtype=np.float32)), "image/png")
