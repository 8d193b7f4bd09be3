"""Fingerprints of a shard come back as they were, in the order of its clips."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from gsv2.audio.fingerprint import SIZE
from gsv2.data.building.shard_fingerprints import read_fingerprints, write_fingerprints
from gsv2.data.corpus.manifest import CorpusError


def test_what_was_written_is_read_and_none_is_zeros(tmp_path):
    found = np.random.default_rng(0).integers(-128, 128, (3, SIZE)).astype(np.int8)
    texts = [base64.b64encode(row.tobytes()).decode() for row in found]
    write_fingerprints(tmp_path, "clips", [texts[0], None, texts[2]])
    read = read_fingerprints(tmp_path, "clips", 3)
    assert read is not None
    np.testing.assert_array_equal(read, [found[0], np.zeros(SIZE), found[2]])
    assert read_fingerprints(tmp_path, "others", 3) is None


def test_a_cut_file_is_named_with_both_sizes(tmp_path):
    write_fingerprints(tmp_path, "clips", [None])
    with pytest.raises(CorpusError, match=r"clips.fingerprints must have 512 .* 2 clips, .* 512;"):
        read_fingerprints(tmp_path, "clips", 2)
