"""Speech that is written while it is spoken; the command's tests write it to files."""

from pathlib import Path

import pytest
import soundfile

from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech_file import SpeechFileError, SpeechFiles, VoiceRecordings
from gsv2.inference.streamed_speech import stream_speech

pytestmark = pytest.mark.usefixtures("without_watermark")

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2, candidates=1)


def test_what_is_written_is_what_is_returned(tiny_bundle, voice, tmp_path):
    out = tmp_path / "out.flac"
    speech = stream_speech(
        tiny_bundle, "One. Two.", SpeechFiles(out), VoiceRecordings([voice]), SHORT
    )
    wave, rate = soundfile.read(out, dtype="float32")
    assert rate == speech.sample_rate
    assert len(wave) == len(speech.wave)
    assert abs(wave - speech.wave).max() < 1e-4
    assert len(speech.codes) == 2


@pytest.mark.parametrize(
    ("out", "times", "message"),
    [
        ("nowhere/out.wav", None, "is no folder"),
        ("out.wav", "out.txt", "written as .TextGrid or .json"),
        ("out.wav", "out.json", "has no aligner"),
    ],
)
def test_what_cannot_be_written_is_named(tiny_bundle, voice, tmp_path, out, times, message):
    files = SpeechFiles(tmp_path / out, None if times is None else Path(tmp_path / times))
    with pytest.raises(ValueError, match=message) as caught:
        stream_speech(tiny_bundle, "One.", files, VoiceRecordings([voice]), SHORT)
    assert isinstance(caught.value, SpeechFileError) or "TextGrid" in message
