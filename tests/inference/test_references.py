import numpy as np
import pytest
import soundfile

from gsv2.audio.wave import WaveError, measure_loudness
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.references import VoiceError, load_reference, load_references
from tests.support.tiny_corpus import synthetic_wave


def write(path, wave, rate=SAMPLE_RATE):
    soundfile.write(path, wave, rate)
    return path


def tone(seconds, rate=SAMPLE_RATE):
    return 0.1 * np.sin(np.arange(int(seconds * rate)) * 0.05)


def test_a_stereo_recording_at_44100_hz_becomes_mono_at_32000(tmp_path):
    stereo = np.stack([tone(1.0, 44_100), 0.5 * tone(1.0, 44_100)], axis=1)
    reference = load_reference(write(tmp_path / "stereo.wav", stereo, 44_100))
    assert reference.wave.shape == (SAMPLE_RATE,)
    assert reference.wave.dtype == np.float32


def test_loudness_is_that_of_the_corpus(tmp_path):
    quiet = 0.05 * synthetic_wave(1.0, 120.0, np.random.default_rng(0))
    reference = load_reference(write(tmp_path / "quiet.wav", quiet))
    assert measure_loudness(reference.wave, SAMPLE_RATE) == pytest.approx(-23.0, abs=0.5)


@pytest.mark.parametrize(
    ("wave", "reason"),
    [
        (tone(0.2), r"must be 0\.5 to 30\.0 s long, but is 0\.20 s"),
        (tone(31.0), r"must be 0\.5 to 30\.0 s long, but is 31\.00 s"),
        (np.zeros(SAMPLE_RATE), "is silent"),
    ],
)
def test_a_recording_without_a_voice_is_named(tmp_path, wave, reason):
    with pytest.raises(VoiceError, match=rf"reference .*voice\.wav {reason}"):
        load_reference(write(tmp_path / "voice.wav", wave))


def test_a_missing_recording_is_named(tmp_path):
    with pytest.raises(WaveError, match=r"nowhere\.wav does not exist"):
        load_reference(tmp_path / "nowhere.wav")


def test_numbers_of_transcripts_and_weights_must_match(tmp_path):
    path = write(tmp_path / "voice.wav", tone(1.0))
    with pytest.raises(VoiceError, match=r"one ref-text a recording \(2\) or none"):
        load_references([path, path], ["one"], [])
    with pytest.raises(VoiceError, match=r"one weight a reference \(1\) or none"):
        load_references([path], [], [0.5, 0.5])
    with pytest.raises(VoiceError, match="positive sum"):
        load_references([path], [], [0.0])
    with pytest.raises(VoiceError, match="must be at least 0, but is -1"):
        load_references([path, path], [], [2.0, -1.0])
    with pytest.raises(VoiceError, match="at least one reference"):
        load_references([], [], [])
