"""Lengths that headers get wrong: whole audio, or an error that says where it was cut."""

import io

import numpy as np
import pytest
import soundfile

from gsv2.audio import mp3
from gsv2.audio.wave import WaveError, load_wave

RATE = 44_100


def voice(seconds=4.0, rate=RATE):
    noise = np.random.default_rng(1).standard_normal(int(seconds * rate))
    time = np.arange(len(noise)) / rate
    return 0.2 * np.sin(2 * np.pi * 220 * time) + np.where(time < 1, 0.2, 0.002) * noise


def encode(wave, file_format, rate=RATE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=file_format, **options)
    return buffer.getvalue()


def seconds(content):
    return len(load_wave(content, 32_000)) / 32_000


def without_table(content):
    at = mp3._find_frame(content, 0)
    return content[at + mp3._header(content, at).length :]


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_variable_rate_mp3_without_a_table_is_whole(rate, channels):
    wave = np.stack([voice(rate=rate)] * channels, axis=1)
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.4}
    bare = without_table(encode(wave, "MP3", rate, **options))
    assert seconds(bare) == pytest.approx(4.0, abs=0.15)
    with pytest.raises(WaveError, match="cut: the last MP3 frame has"):
        load_wave(bare[: len(bare) // 2], 32_000)


def test_mp3_files_that_follow_each_other_are_all_read_and_junk_is_not():
    content = encode(voice(2.0), "MP3")
    assert seconds(content + content) == pytest.approx(4.0, abs=0.15)
    tagged = bytes(700) + content + b"TAG" + b" " * 125
    assert seconds(tagged) == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("said", [0, 1000])
def test_a_flac_that_does_not_know_its_length_is_whole(said):
    content = bytearray(encode(voice(), "FLAC"))
    content[21] &= 0xF0
    content[22:26] = said.to_bytes(4, "big")
    assert seconds(bytes(content)) == pytest.approx(4.0, abs=1e-3)
    if said == 0:
        with pytest.raises(WaveError, match="cut: FLAC of unknown length"):
            load_wave(bytes(content[: len(content) // 2]), 32_000)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_the_end(subtype):
    parts = [encode(voice(sec, 48_000), "OGG", 48_000, subtype=subtype) for sec in (2.0, 1.0)]
    assert seconds(b"".join(parts)) == pytest.approx(3.0, abs=1e-3)


CUT = [("WAV", None), ("WAVEX", None), ("RF64", None), ("AIFF", None), ("W64", None)]
CUT += [("CAF", None), ("AU", None), ("FLAC", None), ("MP3", None)]
CUT += [("OGG", "VORBIS"), ("OGG", "OPUS")]


@pytest.mark.parametrize("lengths", [(3.0, 3.0), (1.0, 2.0, 0.5)])
def test_flac_files_that_follow_each_other_are_all_read(lengths):
    files = [encode(voice(length), "FLAC", subtype="PCM_16") for length in lengths]
    assert seconds(b"".join(files)) == pytest.approx(sum(lengths), abs=1e-3)


@pytest.mark.parametrize(("file_format", "subtype"), CUT)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_is_named(file_format, subtype, share):
    content = encode(voice(rate=48_000), file_format, 48_000, subtype=subtype)
    assert seconds(content) == pytest.approx(4.0, abs=1e-3)
    with pytest.raises(WaveError, match="cut: "):
        load_wave(content[: int(share * len(content))], 32_000)


def test_a_wav_of_a_pipe_is_whole():
    content = bytearray(encode(voice(), "WAV"))
    content[4:8] = content[40:44] = b"\xff" * 4
    assert seconds(bytes(content)) == pytest.approx(4.0, abs=1e-3)


def test_channels_that_cancel_are_named():
    wave = voice()
    with pytest.raises(WaveError, match="channels that cancel"):
        load_wave(encode(np.stack([wave, -wave], axis=1), "WAV"), 32_000)
    assert seconds(encode(np.stack([wave, 0 * wave], axis=1), "WAV")) == 4.0


@pytest.mark.parametrize(
    ("file_format", "head", "order"),
    [("WAV", b"data", "<u4"), ("AIFF", b"SSND", ">u4"), ("AU", b".snd\0\0\0\x18", ">u4")],
)
def test_a_file_whose_header_names_less_than_is_there_is_named(file_format, head, order):
    whole = encode(voice(), file_format, subtype="PCM_16")
    at = whole.index(head) + len(head)
    less = np.array(60_000, dtype=order).tobytes()
    with pytest.raises(WaveError, match="goes on behind its samples: header says 60000 bytes"):
        load_wave(whole[:at] + less + whole[at + 4 :], 32_000)
    with pytest.raises(WaveError, match="goes on behind its samples"):
        load_wave(whole + whole, 32_000)


@pytest.mark.parametrize("size", [7, 100_000])
@pytest.mark.parametrize("is_padded", [True, False])
def test_chunks_and_tags_behind_the_samples_are_no_samples(size, is_padded):
    whole = encode(voice()[:44_101], "WAV", subtype="PCM_U8")
    whole = whole[: whole.index(b"data") + 8 + 44_101]  # an odd number of bytes
    padding = b"\0" if is_padded else b""
    chunk = b"LIST" + size.to_bytes(4, "little") + bytes(range(1, 8)) * (size // 7 + 1)
    chunk = chunk[: 8 + size]
    for rest in (b"", chunk, b"ID3" + b"\3" * 9000, b"TAG" + b"x" * 125, b"\0" * 9000):
        assert seconds(whole + padding + rest) == pytest.approx(44_101 / 44_100, abs=1e-3)
