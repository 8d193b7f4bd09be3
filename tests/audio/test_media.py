"""Sound of M4A, AAC, WebM and video, by what the file holds, never by its name."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from gsv2.audio import media
from gsv2.audio.encoding import encode_whole
from gsv2.audio.errors import WaveError
from gsv2.audio.media import media_kind
from gsv2.audio.segment import Span, open_recording
from gsv2.audio.wave import load_wave
from tests.support.tiny_corpus import synthetic_wave

RATE = 48_000
WAVE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def encoded(container: str, codec: str) -> bytes:
    """Return a second of a tone in a container, as FFmpeg writes it."""
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(WAVE[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        shaper = av.AudioResampler(format=stream.format.name, layout="mono", rate=RATE,
                                   frame_size=stream.frame_size or 1024)  # fmt: skip
        for part in [*shaper.resample(frame), *shaper.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "aac"), ("adts", "aac"), ("webm", "libopus"), ("asf", "wmav2")]
)
def test_a_sound_track_is_read_whatever_the_name(tmp_path, container, codec):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(container, codec))
    wave = load_wave(path, 32_000)
    assert len(wave) / 32_000 == pytest.approx(1.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(wave))
    assert spectrum.argmax() * 32_000 / len(wave) == pytest.approx(440, abs=2)
    part = open_recording(path).read(Span(0.2, 0.5), 32_000)
    assert np.array_equal(part, wave[6400:16_000])


def test_aac_without_a_container_is_read_whole_though_its_length_is_a_guess():
    pytest.importorskip("av")
    wave = synthetic_wave(4.0, 140.0, np.random.default_rng(0))
    assert len(load_wave(encode_whole(wave, 32_000, "aac"), 32_000)) / 32_000 == pytest.approx(
        4.0, abs=0.1
    )


def test_without_pyav_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    with pytest.raises(WaveError, match=r"is MP4, M4A or 3GP: PyAV reads it, pip install 'gsv2.me"):
        load_wave(b"\0\0\0\x18ftypM4A " + bytes(99), 32_000)


def test_what_was_cut_or_holds_no_sound_is_told():
    pytest.importorskip("av")
    content = encoded("webm", "libopus")
    with pytest.raises(WaveError, match="cannot be read as audio: WebM or Matroska"):
        load_wave(content[:60], 32_000)
    with pytest.raises(WaveError, match="MP4"):
        load_wave(b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42isom" + bytes(4000), 32_000)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64", "AU", "RF64"])
def test_what_libsndfile_reads_is_left_to_it(kind):
    buffer = io.BytesIO()
    soundfile.write(buffer, WAVE, RATE, format=kind)
    assert media_kind(buffer.getvalue()[: media.HEAD_BYTES]) is None


def test_no_bytes_are_no_media() -> None:
    assert media_kind(b"") is None
