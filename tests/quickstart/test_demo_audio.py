from itertools import pairwise

import numpy as np
import pytest

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.quickstart.demo_audio import render, render_words, trim_silence
from gsv2.quickstart.demo_plan import plan_demo


@pytest.fixture(scope="module")
def rendered():
    plan = plan_demo(seed=0, minutes=9)
    chosen = plan.train[::8] + plan.heldout[::4]
    return [(utterance, render(utterance, seed=0)) for utterance in chosen]


def test_clips_last_one_to_four_seconds(rendered):
    seconds = [len(wave) / SAMPLE_RATE for _, wave in rendered]
    assert min(seconds) > 1.0
    assert max(seconds) < 4.0
    assert np.mean(seconds) == pytest.approx(2.2, abs=0.25)


def test_clips_are_neither_silent_nor_clipped(rendered):
    for _, wave in rendered:
        assert np.isfinite(wave).all()
        assert wave.std() > 0.01
        assert np.abs(wave).max() < 1.05  # overshoot of the resampler, levelled by the writer
        assert (np.abs(wave) > 0.99).sum() < 10


def test_languages_last_about_equally_long(rendered):
    seconds = {}
    for utterance, wave in rendered:
        seconds.setdefault(utterance.grammar.language, []).append(len(wave) / SAMPLE_RATE)
    means = [np.mean(clips) for clips in seconds.values()]
    assert max(means) < 1.6 * min(means)


def test_voices_differ_more_between_than_within(rendered):
    voices = {}
    for utterance, wave in rendered:
        voices.setdefault(utterance.speaker, []).append(mean_spectrum(wave))
    centres = np.stack([np.mean(spectra, axis=0) for spectra in voices.values()])
    within = np.mean([np.std(spectra, axis=0).mean() for spectra in voices.values()])
    assert np.std(centres, axis=0).mean() > 1.5 * within
    distances = np.abs(centres[:, None] - centres[None]).mean(-1) + 9 * np.eye(len(centres))
    assert distances.min() > 0.2  # no two voices sound alike


def mean_spectrum(wave: np.ndarray) -> np.ndarray:
    """Mean log power in 32 bands of equal ratio between 80 Hz and 10 kHz, without its level."""
    size = 2048
    frames = wave[: len(wave) // size * size].reshape(-1, size) * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames))).sum(axis=0)
    edges = np.geomspace(80, 10_000, 33) * size / SAMPLE_RATE
    bands = [power[int(a) : max(int(a) + 1, int(b))].mean() for a, b in pairwise(edges)]
    log_power = np.log(np.array(bands) + 1e-9)
    return log_power - log_power.mean()


def test_the_same_utterance_sounds_the_same():
    utterance = plan_demo(seed=0, minutes=9).train[0]
    np.testing.assert_array_equal(render(utterance, seed=0), render(utterance, seed=0))


def test_silence_is_cut_to_margins():
    tone = np.sin(np.arange(8_000) * 0.3).astype(np.float32)
    wave = np.pad(tone, (4_000, 12_000))
    trimmed = trim_silence(wave, 16_000)
    assert len(trimmed) == pytest.approx(8_000 + 2 * 800, abs=2 * 160)
    assert np.abs(trimmed[:640]).max() == 0 == np.abs(trimmed[-640:]).max()


def test_speech_up_to_the_edge_gets_margins_of_silence():
    wave = np.ones(1_600, dtype=np.float32)
    assert len(trim_silence(wave, 16_000)) == 1_600 + 2 * 800


def test_silence_alone_stays_as_it_is():
    silence = np.zeros(5_000, dtype=np.float32)
    assert len(trim_silence(silence, 16_000)) == 5_000


def test_words_are_told_in_the_time_of_the_trimmed_wave():
    """The sound of the first begins with the margin, and no word lies outside of the clip."""
    clip = plan_demo(seed=0, minutes=14).heldout[0]
    wave, words = render_words(clip, seed=0)
    np.testing.assert_array_equal(wave, render(clip, seed=0))
    assert abs(words[0].start_sec - 0.05) < 0.03
    assert all(0 < word.start_sec < len(wave) / SAMPLE_RATE for word in words)
