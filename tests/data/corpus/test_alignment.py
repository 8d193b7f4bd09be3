import io
import json

import numpy as np
import pytest

from gsv2.data.corpus.alignment import (
    AlignmentContentError,
    check_alignment,
    decode_alignment,
    encode_alignment,
)
from gsv2.data.corpus.decode import ClipError, ClipRow, decode_clip, encode_codes

JSON = json.dumps({"text": "早 abc", "language": "zh", "speaker": "ann"}).encode()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_characters_come_back_equal():
    characters = np.array([0, 0, 1, 3, 65535])
    assert (decode_alignment(encode_alignment(characters)) == characters).all()


@pytest.mark.parametrize("characters", [np.zeros((1, 2), int), np.zeros(0, int), np.array([-1])])
def test_what_is_no_alignment_is_not_written(characters):
    with pytest.raises(ValueError, match="characters must"):
        encode_alignment(characters)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        npy(np.array([{"evil": 1}]), allow_pickle=True),
        npy(np.zeros(3)),
        npy(np.zeros((2, 3), np.uint16)),
        npy(np.zeros(0, np.uint16)),
        encode_alignment(np.zeros(30, int))[:-10],
    ],
)
def test_what_is_no_alignment_is_not_read(content):
    with pytest.raises(AlignmentContentError, match=r"^alignment is"):
        decode_alignment(content)


@pytest.mark.parametrize(
    ("characters", "fault"),
    [
        ([0, 1, 2, 4], "not as long as its codes: 4 frames, not 5"),
        ([0, 1, 2, 1, 4], "goes backwards"),
        ([0, 1, 2, 3, 3], "not of this text: ends at 3 of 5 characters"),
    ],
)
def test_an_alignment_of_another_clip_is_a_clip_error(characters, fault):
    with pytest.raises(AlignmentContentError, match=fault):
        check_alignment(np.array(characters, np.uint16), 5, "早 abc")
    members = {
        "json": JSON,
        "codes": encode_codes(np.zeros((2, 5), int)),
        "align": encode_alignment(np.array(characters)),
    }
    with pytest.raises(ClipError, match=fault) as error:
        decode_clip(ClipRow(0, "key", "shard"), members)
    assert error.value.member == "align"


def test_an_alignment_counts_characters_and_not_bytes():
    members = {
        "json": JSON,
        "codes": encode_codes(np.zeros((2, 5), int)),
        "align": encode_alignment(np.array([0, 1, 2, 3, 4])),
    }
    assert decode_clip(ClipRow(0, "key", "shard"), members).alignment.tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
