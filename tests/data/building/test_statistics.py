"""Statistics count what was written, and go on where clips are added."""

from __future__ import annotations

import numpy as np
import pytest

from gsv2.data.building.encode import ClipRecord
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.statistics import CorpusStatistics, read_statistics

RNG = np.random.default_rng(0)


def clip(key: str, speaker: str, seconds: float, text: str) -> ClipRecord:
    wave = 0.05 * RNG.standard_normal(round(seconds * 32_000)).astype(np.float32)
    return ClipRecord(key=key, wave=wave, text=text, language="en", speaker=speaker)


def test_a_corpus_says_how_its_clips_are_spread(tmp_path):
    clips = [
        clip("a", "anna", 1.2, "abc"),
        clip("b", "anna", 1.3, "abcd"),
        clip("c", "", 3.0, "a?c"),
        clip("mute", "anna", 1.0, "?"),
    ]
    write_corpus(clips, tmp_path / "c")
    found = read_statistics(tmp_path / "c")
    assert found.histograms["duration_sec"] == {2: 2, 6: 1}
    assert found.median("duration_sec") == 1.25
    assert found.characters["en"]["a"] == 3
    assert found.characters["en"]["d"] == 1
    anna = found.speakers["anna"]
    assert (anna.clips, anna.seconds) == (2, pytest.approx(2.5))
    assert anna.mean("letters_per_sec") == pytest.approx((3 / 1.2 + 4 / 1.3) / 2)
    assert anna.mean("recorded_lufs") == pytest.approx(20 * np.log10(0.05), abs=4)
    assert anna.mean("bandwidth_hz") > 15_000
    assert found.speakers[""].clips == 1


def test_what_is_read_back_is_what_was_written(tmp_path):
    found = CorpusStatistics()
    found.add({"duration_sec": 2.0, "speaker": "a", "language": "zh"}, "你好", {"snr_db": -3.0})
    found.add({"duration_sec": 2.0, "speaker": "a", "language": "zh"}, "你", {"snr_db": None})
    found.write(tmp_path)
    assert read_statistics(tmp_path) == found
    assert found.histograms["snr_db"] == {-2: 1}
    assert found.speakers["a"].mean("snr_db") == -3.0
    assert CorpusStatistics().median("snr_db") is None
    assert read_statistics(tmp_path / "none") is None
    (tmp_path / "statistics.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no statistics"):
        read_statistics(tmp_path)
