import pytest

from gsv2.quickstart.report_data import KeyFigure


@pytest.mark.parametrize(
    ("value", "better", "passed"),
    [
        (0.5, "lower", True),
        (0.51, "lower", False),
        (0.5, "higher", True),
        (0.49, "higher", False),
        (float("nan"), "lower", False),
        (float("nan"), "higher", False),
    ],
)
def test_a_target_is_met_on_its_own_side_and_never_by_nan(value, better, passed):
    assert KeyFigure(name="x", value=value, target=0.5, better=better).passed is passed


def test_without_a_target_there_is_no_verdict():
    assert KeyFigure(name="x", value=1.0).passed is None
