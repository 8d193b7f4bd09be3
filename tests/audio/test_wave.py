import io

import numpy as np
import pytest
import soundfile

from gsv2.audio.wave import (
    PEAK_LIMIT,
    WaveError,
    load_wave,
    loudness_gain,
    measure_loudness,
    resample,
    save_wave,
)

RATE = 32_000


def tone(seconds=1.0, hz=440.0, rate=RATE, level=0.3):
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(
        "float32"
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_what_is_saved_is_loaded(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_wave(path, tone(), RATE)
    wave = load_wave(path, RATE)
    assert wave.dtype == np.float32
    lossless = suffix in ("wav", "flac")
    assert np.abs(wave[: RATE // 2] - tone()[: RATE // 2]).max() < (1e-4 if lossless else 0.05)
    assert len(wave) == RATE or not lossless


def test_stereo_44_khz_becomes_the_mean_at_32_khz(tmp_path):
    left, right = tone(2.0, rate=44_100), tone(2.0, rate=44_100, level=0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    wave = load_wave(tmp_path / "a.wav", RATE)
    assert wave.shape == (2 * RATE,)
    assert np.abs(wave - tone(2.0, level=0.2))[200:-200].max() < 1e-3


def test_path_bytes_and_file_give_the_same(tmp_path):
    save_wave(tmp_path / "a.flac", tone(), RATE)
    content = (tmp_path / "a.flac").read_bytes()
    expected = load_wave(tmp_path / "a.flac", RATE)
    for source in (str(tmp_path / "a.flac"), content, memoryview(content), io.BytesIO(content)):
        assert (load_wave(source, RATE) == expected).all()


def test_resampling_removes_what_the_lower_rate_cannot_hold():
    assert np.abs(resample(tone(hz=12_000), RATE, 16_000))[500:-500].max() < 1e-3
    kept = resample(tone(hz=3_000), RATE, 16_000)
    assert np.abs(kept - tone(hz=3_000, rate=16_000))[200:-200].max() < 1e-3
    assert resample(kept, 16_000, 16_000) is kept


def flac():
    buffer = io.BytesIO()
    save_wave(buffer, tone(2.0), RATE)
    return buffer.getvalue()


def float_wav(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array(samples, dtype="float32"), RATE, "FLOAT", format="WAV")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as audio"),
        (b"not audio at all", "cannot be read as audio"),
        (float_wav([]), "holds no samples"),
        (float_wav([0.0, np.nan]), "NaN or infinite"),
        (float_wav([0.0, np.inf]), "NaN or infinite"),
    ],
    ids=["empty", "text", "no samples", "NaN", "infinite"],  # libsndfile writes the time
)
def test_audio_that_cannot_be_used_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(WaveError, match=message) as error:
        load_wave(tmp_path / "x.bin", RATE)
    assert "x.bin" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(WaveError, match=message):
        load_wave(content, RATE)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_flac_that_was_cut_off_is_never_a_shorter_clip(share):
    content = flac()
    with pytest.raises(WaveError, match=r"cannot be read as audio|cut: "):
        load_wave(content[: int(share * len(content))], RATE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WaveError, match=r"nothing\.wav does not exist"):
        load_wave(tmp_path / "nothing.wav", RATE)
    with pytest.raises(WaveError, match="does not exist"):
        load_wave(tmp_path, RATE)


@pytest.mark.parametrize(
    ("name", "wave", "message"),
    [
        ("a.wav", np.zeros((2, 5)), "shape"),
        ("a.wav", np.zeros(0), "shape"),
        ("a.wav", np.array([np.nan]), "NaN"),
        ("a.xyz", np.zeros(5), "suffix"),
        ("a", np.zeros(5), "suffix"),
    ],
)
def test_what_is_no_wave_is_not_written(tmp_path, name, wave, message):
    with pytest.raises(WaveError, match=message):
        save_wave(tmp_path / name, wave, RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [3.0, 0.4, 0.1, 0.003])
@pytest.mark.parametrize("level", [0.9, 0.01])
def test_clips_of_any_length_reach_the_loudness(seconds, level):
    wave = tone(seconds, hz=1000.0, level=level)
    gain = loudness_gain(measure_loudness(wave, RATE), float(np.abs(wave).max()))
    assert measure_loudness(wave * gain, RATE) == pytest.approx(-23.0, abs=0.1)


def test_peaks_give_way_instead_of_clipping():
    wave = np.full(RATE, 1e-3, dtype="float32") * np.sin(np.arange(RATE)).astype("float32")
    wave[100] = 0.9
    peaky = wave * loudness_gain(measure_loudness(wave, RATE), float(np.abs(wave).max()))
    assert np.abs(peaky).max() == pytest.approx(PEAK_LIMIT)
    assert measure_loudness(peaky, RATE) < -23.0


def test_memory_that_fits_is_decoded_into():
    wave = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    file = io.BytesIO()
    save_wave(file, wave, 32_000)
    content = file.getvalue()
    alone = load_wave(content, 32_000)
    for size, fits in ((999, False), (1000, True), (1500, True)):
        out = np.full(size, np.nan, dtype=np.float32)
        loaded = load_wave(content, 32_000, out)
        assert (loaded == alone).all()
        assert np.shares_memory(loaded, out) == fits
        assert np.isnan(out[1000:]).all(), "nothing is written beyond the clip"
    assert len(load_wave(content, 16_000, np.empty(2000, dtype=np.float32))) == 500
