import io
import json

import numpy as np
import pytest

from gsv2.data.corpus.decode import ClipError, ClipRow, decode_clip, decode_codes, encode_codes

JSON = json.dumps({"text": "hi", "language": "en", "speaker": "ann"}).encode()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_codes_come_back_equal():
    codes = np.random.default_rng(0).integers(0, 1024, (2, 50))
    assert (decode_codes(encode_codes(codes)) == codes).all()
    assert decode_codes(memoryview(encode_codes(codes))).dtype == np.uint16


@pytest.mark.parametrize(
    "codes", [np.zeros((2, 0), int), np.zeros(3, int), np.zeros((2, 2)), np.array([[-1, 2]])]
)
def test_what_is_no_codes_is_not_written(codes):
    with pytest.raises(ValueError, match="codes must"):
        encode_codes(codes)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        npy(np.array([{"evil": 1}]), allow_pickle=True),
        npy(np.zeros((2, 3))),
        npy(np.zeros(3, np.uint16)),
        npy(np.zeros((2, 0), np.uint16)),
        encode_codes(np.zeros((2, 30), int))[:-10],
    ],
)
def test_what_is_no_codes_is_not_read(content):
    with pytest.raises(ClipError, match=r"^codes are"):
        decode_codes(content)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", JSON.replace(b'"hi"', b"3"), JSON.replace(b"hi", b" ")]
)
def test_a_json_without_text_is_a_clip_error(content):
    with pytest.raises(ClipError, match=r"json has no text|nothing to speak"):
        decode_clip(ClipRow(0, "k", "s"), {"json": content})


def test_audio_that_is_no_audio_is_a_clip_error():
    with pytest.raises(ClipError, match="cannot be read as audio"):
        decode_clip(ClipRow(0, "k", "s"), {"json": JSON, "audio": b"RIFF...."})


def test_only_what_was_read_is_decoded():
    clip = decode_clip(ClipRow(7, "k", "s"), {"json": JSON})
    assert (clip.row, clip.key, clip.text, clip.speaker) == (7, "k", "hi", "ann")
    assert clip.wave is None
    assert clip.codes is None
