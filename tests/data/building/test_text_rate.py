import json

import numpy as np
import pytest

from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.offered import RecordedClip
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.text_rate import TextRateConfig, TextRates, count_letters
from gsv2.data.corpus.manifest import read_manifest


def test_letters_are_counted_alike_in_every_script():
    assert count_letters("Yes, 12!") == 5
    assert count_letters("今天") == count_letters("カナ") == 6
    assert count_letters("हिन्दी") == 6


@pytest.mark.parametrize("rate", [0.12, 0.0, 300.0])
def test_what_no_speech_has_is_a_fault_with_its_value(rate):
    reason, value = TextRates(TextRateConfig()).fault(rate)
    assert "for its audio" in reason
    assert f"{rate:.2f} letters per second" in value
    assert TextRates(TextRateConfig()).fault(15.0) is None


def test_bounds_are_learnt_for_each_language_with_enough_clips():
    rates = TextRates(TextRateConfig())
    usual = np.random.default_rng(0).normal(14, 2, 200)
    for rate in [*usual, 49.0, 0.9]:
        rates.add("en", rate)
    for rate in (14.0, 49.0):
        rates.add("de", rate)
    assert [outlier.clip for outlier in rates.outliers("en")] == [200, 201]
    assert "49.00 letters per second; en has 14" in rates.outliers("en")[0].value
    assert rates.outliers("de") == []


def test_implausible_transcripts_are_left_out_of_a_corpus_by_file_and_value(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    texts = ["abcde " * 5] * 30 + ["abcdefghi " * 9, "abcdefghij" * 30, "?a"]
    clips = [
        RecordedClip(key=f"{n}", wave=wave[: None if n < 32 else 32_000], text=text,
                     language="en", file=f"{n}.wav")
        for n, text in enumerate(texts)
    ]  # fmt: skip
    config = TextRateConfig(min_clips=20, min_letters_per_sec=2.0)
    write_corpus(clips, tmp_path / "c", intake=IntakeConfig(text_rate=config))
    manifest = read_manifest(tmp_path / "c")
    assert manifest.num_clips == 30
    assert manifest.rejected == {
        "text too long for its audio": 2, "text too short for its audio": 1
    }  # fmt: skip
    lines = map(json.loads, (tmp_path / "c/rejected.jsonl").read_text().splitlines())
    said = {line["file"]: line["value"] for line in lines}
    assert "en has 12.50" in said["30.wav"]
    assert said["31.wav"].startswith("150.00 letters")
