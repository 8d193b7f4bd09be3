import json

import pytest

from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.sentence_result import ResultFolder, SentenceResult, file_name


@pytest.fixture
def result():
    return SentenceResult(
        key="a/b",
        text="“今天”",
        language="zh",
        speaker="anna",
        fingerprint="f",
        prompt_ids=["p"],
        measures={"rate": {"generated": Measurement(3, 1.5)}},
        readings={"ear": {"generated": "今"}},
        voices={"eye": {"p": [0.6, 0.8]}},
        judged={"ear": "ear 1"},
    )


def test_a_row_comes_back_as_it_was(result, tmp_path):
    folder = ResultFolder(tmp_path / "results")
    assert folder.load(result.key) is None
    folder.save(result)
    found = folder.load(result.key)
    assert found == result
    assert found.measures["rate"]["generated"].denominator == 1.5
    assert folder.wave(result.key, "generated").name == "a_b.generated.wav"


def test_rows_of_another_format_are_made_anew_and_damaged_ones_are_named(result, tmp_path):
    folder = ResultFolder(tmp_path)
    folder.save(result)
    path = tmp_path / "a_b.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))
    assert folder.load(result.key) is None
    for damage in ("[]", "{", "{}"):
        path.write_text(damage)
        with pytest.raises(ValueError, match=r"a_b.json is damaged .*; delete it"):
            folder.load(result.key)


def test_names_of_files_are_safe():
    assert file_name("../x y|z") == "___x_y_z"
    assert file_name("今天-1") == "今天-1"
