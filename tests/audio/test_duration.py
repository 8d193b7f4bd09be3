import io

import numpy as np
import pytest
import soundfile

from gsv2.audio.duration import measure_duration
from gsv2.audio.wave import WaveError, load_wave
from tests.support.archives import audio_bytes

FORMATS = [
    ("FLAC", None, 16_000),
    ("WAV", None, 22_050),
    ("WAV", "FLOAT", 44_100),
    ("OGG", "VORBIS", 24_000),
    ("OGG", "OPUS", 48_000),
    ("MP3", None, 16_000),
    ("MP3", None, 44_100),
]


@pytest.mark.parametrize(("file_format", "subtype", "rate"), FORMATS)
def test_the_header_says_how_long_decoding_would_be(file_format, subtype, rate):
    content = audio_bytes(1.3, rate, file_format, subtype)
    assert measure_duration(content) == pytest.approx(1.3, abs=1e-6)
    samples = len(load_wave(content, 32_000))
    assert abs(samples - round(measure_duration(content) * 32_000)) <= 1


def test_a_flac_file_that_was_cut_is_an_error():
    content = audio_bytes(4.0, 16_000, "FLAC")
    with pytest.raises(WaveError, match=r"cut: header says 4\.00 s"):
        measure_duration(content[: len(content) // 2])


def test_an_mp3_header_that_says_too_much_is_not_believed():
    """Half of a file whose table of contents tells of the whole."""
    content = audio_bytes(4.0, 44_100, "MP3")
    half = content[: len(content) // 2]
    with soundfile.SoundFile(io.BytesIO(half)) as file:
        assert file.frames == 4 * 44_100
    with pytest.raises(WaveError, match="cut: "):
        measure_duration(half)


def test_what_is_no_audio_is_an_error():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(0), 16_000, format="WAV")
    with pytest.raises(WaveError, match="holds no samples"):
        measure_duration(buffer.getvalue())
    for content in (b"", b"RIFF", b"\0" * 4000):
        with pytest.raises(WaveError, match="cannot be read as audio"):
            measure_duration(content)
