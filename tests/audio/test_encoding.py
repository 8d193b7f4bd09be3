import io

import numpy as np
import pytest
import soundfile

from gsv2.audio.encoding import FORMATS, MEDIA_TYPES, PCM_RATE, StreamEncoder, encode_whole

RATE = 32_000


def tone(seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def decoded(content: bytes, audio_format: str) -> tuple[np.ndarray, int]:
    """Decode by FFmpeg, which did not write WAV and PCM; samples without a header are PCM."""
    if audio_format == "pcm":
        return np.frombuffer(content, dtype="<i2") / 32767, PCM_RATE
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler(format="fltp", layout="mono")
        waves = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]
        return np.concatenate(waves), frames[0].sample_rate


@pytest.mark.parametrize("audio_format", FORMATS)
def test_what_comes_in_pieces_is_one_file_of_the_same_sound(audio_format):
    pytest.importorskip("av")
    wave = tone()
    encoder = StreamEncoder(audio_format, RATE)
    parts = [encoder.encode(piece) for piece in np.array_split(wave, 7)]
    content = b"".join([*parts, encoder.finish()])
    found, rate = decoded(content, audio_format)
    assert len(found) / rate == pytest.approx(1.0, abs=0.09)  # codecs add their delay
    middle = found[len(found) // 3 : 2 * len(found) // 3]
    loudest = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax()
    assert loudest * rate / len(middle) == pytest.approx(440, abs=5)
    assert np.abs(middle).max() == pytest.approx(0.3, abs=0.03)
    assert audio_format in MEDIA_TYPES


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_a_whole_file_knows_its_length_and_holds_the_samples(audio_format):
    pytest.importorskip("av")
    wave = tone()
    content = encode_whole(wave, RATE, audio_format, {"comment": "a note"})
    found, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == RATE
    assert found.shape == wave.shape
    assert np.abs(found - wave).max() < 1 / 32000


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus"])
def test_tags_are_in_the_file(audio_format):
    av = pytest.importorskip("av")
    content = encode_whole(tone(0.3), RATE, audio_format, {"comment": "a note"})
    with av.open(io.BytesIO(content)) as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    assert {key.lower(): value for key, value in tags.items()}["comment"] == "a note"


def test_samples_beyond_full_scale_are_clipped():
    found = np.frombuffer(encode_whole(np.float32([2, -2, 0]), RATE, "wav")[44:], dtype="<i2")
    assert found.tolist() == [32767, -32767, 0]


def test_nothing_is_a_file_too():
    pytest.importorskip("av")
    encoder = StreamEncoder("mp3", RATE)
    encoder.encode(np.zeros(0, dtype=np.float32))
    encoder.finish()
