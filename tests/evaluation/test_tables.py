import pytest

from gsv2.evaluation.estimates import Estimate, Measurement
from gsv2.evaluation.report import make_report
from gsv2.evaluation.sentence_result import SentenceResult
from gsv2.evaluation.tables import by_scope_table, figure_table, figure_title, format_estimate


def result(number, language, errors):
    return SentenceResult(
        key=str(number),
        text="a b c d",
        language=language,
        speaker="anna",
        fingerprint="",
        prompt_ids=["p"],
        measures={
            "unended": {"generated": Measurement(0)},
            "wer/ear": {"generated": Measurement(errors, 4), "recording": Measurement(1, 4)},
        },
    )


@pytest.fixture
def report():
    results = [result(0, "en", 1), result(1, "en", 3), result(2, "zh", 4), result(3, "ar", 0)]
    return make_report("bundle", results)


def test_a_line_has_the_speech_the_recordings_and_the_difference(report):
    table = figure_table(report)
    assert [line[0] for line in table.rows] == ["word errors (ear)", "sentences without an end"]
    cells = dict(zip(table.headings, table.rows[0], strict=True))
    assert cells["speech"].startswith("0.50 [")
    assert cells["recordings"] == "0.25 [0.25, 0.25]"
    assert cells["speech less recordings"].startswith("0.25 [")
    assert cells["recordings through codes"] == ""


def test_a_figure_that_not_all_sentences_have_says_how_many(report):
    report.results[1].measures.pop("wer/ear")
    table = figure_table(make_report("bundle", report.results))
    assert [line[0] for line in table.rows] == [
        "word errors (ear), 3 sentences",
        "sentences without an end",
    ]


def test_languages_have_a_line_each_and_their_median_the_last(report):
    table = by_scope_table(report)
    assert [line[:2] for line in table.rows] == [
        ["ar", "0.00"],
        ["en", "0.50 [0.25, 0.75]"],
        ["zh", "1.00"],
        ["median", "0.50 [0.25, 0.75]"],
    ]


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(0.123, 0.1, 0.15, 5), "0.12 [0.10, 0.15]"),
        (Estimate(163.4, 23.46, 203.0, 5), "163 [23.5, 203]"),
        (Estimate(1 / 3, None, None, 1), "0.33"),
    ],
)
def test_estimates_are_written_with_their_interval(estimate, shown):
    assert format_estimate(estimate) == shown


def test_a_title_names_the_judge():
    assert figure_title("own_voice/resemblyzer") == "nearest to its own voice (resemblyzer)"
    assert figure_title("unended") == "sentences without an end"
