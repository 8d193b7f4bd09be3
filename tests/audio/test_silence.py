"""Silence at both ends goes but for what is to be kept; nothing between is touched."""

from __future__ import annotations

import numpy as np
import pytest

from gsv2.audio.silence import cut_at_quiet, trim_silence

RATE = 16_000


def speech() -> np.ndarray:
    time = np.arange(RATE) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 200 * time)
    wave[6_000:9_000] = 0.0  # a pause
    return wave.astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 5e-4])
def test_the_ends_are_cut_and_the_pause_is_kept(noise):
    rng = np.random.default_rng(0)
    ends = [noise * rng.standard_normal(RATE * n).astype(np.float32) for n in (2, 1)]
    whole = np.concatenate([ends[0], speech(), ends[1]])
    cut = trim_silence(whole, RATE, 0.1)
    assert len(cut) / RATE == pytest.approx(1.2, abs=0.04)
    start = len(cut) - RATE // 10 - RATE  # where the speech is again, to a frame
    assert np.abs(cut[start - 400 : start + RATE + 400]).max() == pytest.approx(0.3, abs=0.01)
    assert len(trim_silence(whole, RATE, 10.0)) == len(whole)


def test_speech_without_silence_and_silence_alone_stay_as_they_are():
    for wave in (speech(), np.zeros(RATE, np.float32), np.zeros(10, np.float32)):
        assert np.array_equal(trim_silence(wave, RATE, 0.0), wave)


def test_long_speech_is_cut_within_its_pauses_and_nothing_is_lost():
    wave = np.concatenate([speech()] * 5)
    pieces = cut_at_quiet(wave, 160, 240)
    assert np.array_equal(np.concatenate(pieces), wave)
    assert all(120 <= len(piece) / 160 <= 240 for piece in pieces[:-1])
    assert len(pieces[-1]) <= 240 * 160
    assert all(len(piece) % 160 == 0 for piece in pieces[:-1])
    assert all(not piece[-1] for piece in pieces[:-1])


def test_short_speech_is_one_piece():
    assert [len(piece) for piece in cut_at_quiet(speech(), 160, 100)] == [RATE]
