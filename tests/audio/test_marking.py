import numpy as np
import pytest
import soundfile

from gsv2.audio import marking
from gsv2.audio.encoding import encode_whole
from gsv2.audio.marking import MARK, MarkError, read_mark, save_marked

pytestmark = pytest.mark.usefixtures("without_watermark")

WAVE = (0.1 * np.sin(np.arange(16_000) * 0.05)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("reader", ["av", None])
def test_a_marked_file_says_so_and_holds_the_samples(tmp_path, monkeypatch, suffix, reader):
    if reader is None:
        monkeypatch.setattr(marking, "find_spec", lambda name: None)
    else:
        pytest.importorskip("av")
    path = tmp_path / f"a.{suffix}"
    save_marked(path, WAVE, 32_000)
    assert read_mark(path) == MARK
    wave, rate = soundfile.read(path)
    assert rate == 32_000
    if suffix != "ogg":
        assert np.abs(wave - WAVE).max() < 1e-4


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "flac", "wav"])
def test_a_mark_is_read_in_what_a_server_sends(tmp_path, audio_format):
    pytest.importorskip("av")
    path = tmp_path / "a"
    path.write_bytes(encode_whole(WAVE, 32_000, audio_format, {"comment": MARK}))
    assert read_mark(path) == MARK
    path.write_bytes(encode_whole(WAVE, 32_000, audio_format))
    assert read_mark(path) is None


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(MarkError, match="nowhere does not exist"):
        read_mark(tmp_path / "nowhere")
    (tmp_path / "noise").write_bytes(b"noise" * 100)
    with pytest.raises(MarkError, match="noise cannot be read as audio"):
        read_mark(tmp_path / "noise")
