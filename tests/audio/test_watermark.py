"""The watermark in the sound, by the real library; without it waves stay as they are."""

import sys

import numpy as np
import pytest

from gsv2.audio import watermark
from gsv2.audio.encoding import encode_whole
from gsv2.audio.marking import read_marks, save_marked
from gsv2.audio.watermark import (
    FOUND,
    WatermarkStream,
    is_watermarking,
    score_watermark,
    watermarked,
)
from gsv2.audio.wave import load_wave
from tests.support.tiny_corpus import synthetic_wave

RATE = 32_000
with_perth = pytest.mark.skipif(not is_watermarking(), reason="resemble-perth is not installed")


@pytest.fixture(scope="module")
def wave():
    return synthetic_wave(4.0, 140.0, np.random.default_rng(0))


def test_without_the_extra_a_wave_stays_as_it_is(monkeypatch, wave, tmp_path):
    monkeypatch.setattr(watermark, "find_spec", lambda name: None)
    watermark._load_network.cache_clear()
    stream = WatermarkStream()
    assert np.array_equal(stream.push(wave), wave)
    assert len(stream.push(wave[:0], is_last=True)) == 0
    save_marked(tmp_path / "a.wav", wave, RATE)
    (found,) = read_marks(tmp_path / "a.wav")
    assert "Synthetic speech" in found
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'gsv2\[watermark\]'"):
        score_watermark(wave)


def test_a_folder_of_the_name_is_no_library(monkeypatch, tmp_path):
    (tmp_path / "perth").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "perth", raising=False)
    assert not is_watermarking()


@with_perth
def test_what_was_marked_is_found_and_hardly_differs(wave):
    marked = watermarked(wave)
    assert marked.shape == wave.shape
    assert score_watermark(wave) < FOUND < score_watermark(marked)
    assert 10 * np.log10((wave**2).sum() / ((marked - wave) ** 2).sum()) > 10
    assert score_watermark(np.zeros(RATE, dtype=np.float32)) == 0


@with_perth
def test_samples_are_the_same_whenever_they_come(wave):
    whole = watermarked(wave)
    for size in (700, 20_000):
        stream = WatermarkStream()
        pieces = [stream.push(wave[start : start + size]) for start in range(0, len(wave), size)]
        pieces.append(stream.push(wave[:0], is_last=True))
        assert np.array_equal(np.concatenate(pieces), whole)
    assert np.abs(whole - watermark._mark_whole(watermark._load_network(), wave)).max() < 1e-3
    for count in (0, 1, 500, 10_241):
        assert len(watermarked(wave[:count])) == count


@with_perth
@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac"])
def test_it_survives_the_formats_of_a_server(wave, audio_format):
    pytest.importorskip("av")
    scores = [
        score_watermark(load_wave(encode_whole(sound, RATE, audio_format), RATE))
        for sound in (wave, watermarked(wave))
    ]
    assert scores[0] < FOUND < scores[1]


@with_perth
def test_a_file_names_both_marks_or_none(wave, tmp_path):
    save_marked(tmp_path / "a.wav", wave, RATE)
    comment, found = read_marks(tmp_path / "a.wav")
    assert "Synthetic speech" in comment
    assert "watermark of Perth" in found
