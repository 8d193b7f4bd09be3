import io
import re
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.quickstart.curves import Curve, TermCurves
from gsv2.quickstart.figures import draw_curves, draw_spectrogram, embed_audio

STEPS = list(range(10, 510, 10))
FALLING = Curve(STEPS, [100.0 / step for step in STEPS])
RISING = Curve(STEPS, [step / 500 for step in STEPS])


def content(uri: str, kind: str) -> io.BytesIO:
    assert uri.startswith(f"data:{kind};base64,")
    return io.BytesIO(b64decode(uri.partition(",")[2]))


def labels(svg: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in re.findall(r">([^<>\s]+)</text>", svg)]


@pytest.mark.parametrize(
    "pair",
    [
        TermCurves("a/loss", FALLING, None),
        TermCurves("a/loss", None, RISING),
        TermCurves("a/loss", FALLING, Curve([500], [0.3])),
        TermCurves("a/loss", Curve([1], [2.0]), None),
        TermCurves("a/loss", Curve([1, 2, 3], [1.0, float("nan"), 2.0]), None),
        TermCurves("a/loss", Curve([1, 2], [float("nan")] * 2), None),
        TermCurves("a/loss", Curve([1, 2], [0.0, 0.0]), None),
    ],
)
def test_a_chart_is_wellformed_svg_that_refers_only_to_itself(pair):
    svg = draw_curves(pair, 'run <a> & "b"')
    ElementTree.fromstring(svg)
    assert "http" not in svg
    ids = re.findall(r' id="([^"]*)"', svg)
    assert set(re.findall(r'(?:url\(|href=")#([^")]*)', svg)) <= set(ids)


def test_charts_of_the_same_curve_have_their_own_ids():
    pair = TermCurves("train/steps_per_sec", FALLING, FALLING)
    first, second = (
        set(re.findall(r' id="([^"]*)"', draw_curves(pair, f"{run} speed"))) for run in "ab"
    )
    assert first
    assert not first & second


def test_colours_follow_the_theme_of_the_page():
    svg = draw_curves(TermCurves("a/loss", FALLING, RISING), "a")
    assert {"var(--train)", "var(--heldout)", "var(--soft)"} <= set(re.findall(r"var\(.*?\)", svg))
    assert not re.search(r"#[0-9a-f]{6}\b(?!\w)", re.sub(r'(url\(|href=")#\w+', "", svg))


def test_only_a_curve_that_falls_far_gets_a_logarithmic_axis():
    assert {0.2, 2.0, 10.0} & set(labels(draw_curves(TermCurves("a", FALLING, None), "a")))
    rising = [y for y in labels(draw_curves(TermCurves("a", RISING, None), "a")) if y <= 1]
    assert np.allclose(np.diff(rising), np.diff(rising)[0])


def test_charts_are_reproducible():
    pair = TermCurves("a/loss", FALLING, RISING)
    assert draw_curves(pair, "a") == draw_curves(pair, "a")


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
