"""Audio of the demo corpus: a clip of its plan becomes a waveform at the corpus' rate."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.quickstart import espeak
from gsv2.quickstart.demo_plan import DemoClip

_MARGIN_SEC = 0.05  # of silence left on both sides
_SILENCE_DB = -45.0  # below the loudest window
_WINDOW_SEC = 0.01


def render(clip: DemoClip, seed: int) -> NDArray[np.float32]:
    """Speak a clip.

    Returns:
        [N] waveform at the corpus' sample rate, trimmed to short margins.

    Raises:
        EspeakError: espeak-ng is missing, or cannot speak it.
    """
    return render_words(clip, seed).wave


def render_words(clip: DemoClip, seed: int) -> espeak.EspeakSpeech:
    """Speak a clip as `render` does; with its words, in the time of that wave."""
    voice = replace(clip.voice, rate=round(clip.voice.rate * clip.grammar.tempo))
    noise_seed = zlib.crc32(f"{seed}/{clip.key}".encode()) >> 1
    spoken = espeak.speak_words(clip.text, clip.grammar.espeak, voice, seed=noise_seed)
    start, stop = find_speech(spoken.wave, espeak.SAMPLE_RATE)
    trimmed = _cut(spoken.wave, start, stop)
    before_sec = start / espeak.SAMPLE_RATE
    words = tuple(w._replace(start_sec=w.start_sec - before_sec) for w in spoken.words)
    return espeak.EspeakSpeech(resample(trimmed, espeak.SAMPLE_RATE, SAMPLE_RATE), words)


def trim_silence(wave: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Cut [N] to what is louder than silence, with short margins of silence on both sides."""
    return _cut(wave, *find_speech(wave, sample_rate))


def find_speech(wave: NDArray[np.float32], sample_rate: int) -> tuple[int, int]:
    """Return where `trim_silence` begins and ends, in samples; margins may lie outside of [N]."""
    window = round(_WINDOW_SEC * sample_rate)
    num_windows = len(wave) // window
    power = np.square(wave[: num_windows * window]).reshape(num_windows, window).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 10.0 ** (_SILENCE_DB / 10.0))
    if loud.size == 0:
        return 0, len(wave)
    margin = round(_MARGIN_SEC * sample_rate)
    return int(loud[0]) * window - margin, (int(loud[-1]) + 1) * window + margin


def _cut(wave: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    """Return [stop - start], silent where [N] does not reach."""
    before, after = max(0, -start), max(0, stop - len(wave))
    return np.pad(wave, (before, after))[start + before : stop + before]
