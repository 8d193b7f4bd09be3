"""A segment read by seeking is that part of the whole, in every format and at every rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from gsv2.audio.errors import WaveError
from gsv2.audio.segment import Span, open_recording
from gsv2.audio.wave import load_wave

SECONDS = 6.0
SPANS = [Span(0.0, 0.3), Span(0.3, 0.9), Span(1.23456, 1.7), Span(1.6, 2.0), Span(5.9, 6.0)]


def sweep(rate: int) -> np.ndarray:
    """Return [N]: a tone that rises, so that no two places are alike."""
    time = np.arange(round(SECONDS * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * (200 * time + 150 * time**2)) + 0.01 * noise


@pytest.mark.parametrize("spans", [SPANS, SPANS[::-1]], ids=["in order", "backwards"])
@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_16", 32_000),
        ("WAV", "FLOAT", 44_100),
        ("FLAC", "PCM_24", 48_000),
        ("OGG", "VORBIS", 22_050),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
    ],
)
def test_a_segment_is_a_part_of_the_whole(tmp_path, kind, subtype, rate, spans):
    path = tmp_path / "a"
    soundfile.write(path, sweep(rate), rate, format=kind, subtype=subtype)
    whole = load_wave(path, 32_000)
    recording = open_recording(path)
    assert recording.duration_sec(32_000) == pytest.approx(SECONDS, abs=0.05)
    for span in spans:
        wave = recording.read(span, 32_000)
        expected = whole[round(span.start_sec * 32_000) : round(span.end_sec * 32_000)]
        assert len(wave) == len(expected)
        assert np.abs(wave - expected).max() < 1e-4


def test_a_channel_is_read_alone(tmp_path):
    both = np.stack([sweep(16_000), 0.5 * sweep(16_000)[::-1]], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 16_000)
    wave = open_recording(tmp_path / "a.wav").read(Span(0, 1), 16_000, channel=1)
    assert np.abs(wave - both[:16_000, 1]).max() < 1e-4
    with pytest.raises(WaveError, match="no such channel: 2, there are 2"):
        open_recording(tmp_path / "a.wav").read(Span(0, 1), 16_000, channel=2)


def test_streams_in_a_chain_are_decoded_as_a_whole(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / name, sweep(16_000), 16_000, format="OGG")
    chained = tmp_path / "c.ogg"
    chained.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    recording = open_recording(chained)
    assert recording.duration_sec(16_000) == pytest.approx(2 * SECONDS, abs=0.1)
    whole = load_wave(chained, 16_000)
    assert np.array_equal(recording.read(Span(7, 8), 16_000), whole[7 * 16_000 : 8 * 16_000])


def test_what_lies_behind_a_cut_is_an_error_and_what_lies_before_is_read(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, sweep(32_000), 32_000, format="MP3")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WaveError, match="cut"):
        open_recording(path)
    wav = tmp_path / "a.wav"
    soundfile.write(wav, sweep(32_000), 32_000)
    wav.write_bytes(wav.read_bytes()[: 32_000 * 2 * 3])
    recording = open_recording(wav)
    assert recording.duration_sec(32_000) < 3
    assert len(recording.read(Span(1, 2), 32_000)) == 32_000


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sweep(16_000), 16_000)
    assert open_recording(path).duration_sec(16_000) == SECONDS
    soundfile.write(path, sweep(16_000)[:16_000], 16_000)
    assert open_recording(path).duration_sec(16_000) == 1.0
