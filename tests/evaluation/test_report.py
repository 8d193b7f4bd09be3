"""Figures over results: by language, over all, medians, differences."""

from __future__ import annotations

import json

import pytest

from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.report import make_report
from gsv2.evaluation.sentence_result import SentenceResult


def result(key: str, language: str, errors: float, recorded: float | None = 0.0) -> SentenceResult:
    """Return a result of a text of 10 characters."""
    found = {"generated": Measurement(errors, 10)}
    if recorded is not None:
        found["recording"] = Measurement(recorded, 10)
    return SentenceResult(
        key=key, text="0123456789", language=language, speaker="a", fingerprint="f",
        prompt_ids=[], measures={"char_errors": found},
    )  # fmt: skip


RESULTS = [
    result("a", "en", 1),
    result("b", "en", 3, 2),
    result("c", "ko", 9),
    result("d", "zh", 0, None),
]


def test_a_figure_is_the_ratio_of_the_sums_of_its_scope() -> None:
    report = make_report("bundle", RESULTS)
    values = {s: report.figure("char_errors", scope=s).value for s in ("all", "en", "ko", "zh")}
    assert values == pytest.approx({"all": 13 / 40, "en": 0.2, "ko": 0.9, "zh": 0.0})


def test_the_median_is_of_the_languages_and_not_of_the_sentences() -> None:
    assert make_report("bundle", RESULTS).figure("char_errors", scope="median").value == 0.2
    assert make_report("bundle", RESULTS[:2]).figure("char_errors", scope="median") is None


def test_a_difference_is_of_the_sentences_that_have_both() -> None:
    report = make_report("bundle", RESULTS)
    assert report.figure("char_errors", "difference").value == pytest.approx((13 - 2) / 30)
    assert report.figure("char_errors", "difference", scope="zh") is None


def test_what_was_not_spoken_is_named_and_in_no_figure() -> None:
    silent = result("e", "en", 10)
    silent.failure = "too short"
    report = make_report("bundle", [*RESULTS, silent], ["a note"])
    assert report.failures == {"e": "too short"}
    assert report.figure("char_errors") == make_report("bundle", RESULTS).figure("char_errors")
    plain = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert (plain["num_sentences"], plain["notes"]) == (5, ["a note"])
