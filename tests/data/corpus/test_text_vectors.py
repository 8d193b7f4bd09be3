import io

import numpy as np
import pytest

from gsv2.data.corpus.errors import ClipError
from gsv2.data.corpus.text_vectors import decode_vectors, encode_vectors


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_vectors_go_round_in_half_precision() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 4))
    back = decode_vectors(memoryview(encode_vectors(vectors)))
    assert back.dtype == np.float16
    np.testing.assert_array_equal(back, vectors.astype(np.float16))


@pytest.mark.parametrize("vectors", [np.zeros(3), np.zeros((0, 4)), np.full((1, 2), 1e6)])
def test_what_no_vectors_are_is_not_written(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="text vectors must be"):
        encode_vectors(vectors)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no npy", "no npy file"),
        (npy(np.zeros((2, 3))), "not float16"),
        (npy(np.zeros((0, 3), np.float16)), "not float16"),
        (npy(np.full((2, 3), np.nan, np.float16)), "not finite"),
    ],
)
def test_damaged_vectors_are_a_clip_that_cannot_be_read(content: bytes, reason: str) -> None:
    with pytest.raises(ClipError, match=reason) as caught:
        decode_vectors(content)
    assert caught.value.member == "text_vectors"
