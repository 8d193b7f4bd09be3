import re
from xml.etree import ElementTree

import numpy as np
import pytest

from gsv2.quickstart.curves import Curve, TermCurves
from gsv2.quickstart.figures import draw_curves

STEPS = list(range(10, 510, 10))
FALLING = Curve(STEPS, [100.0 / step for step in STEPS])
RISING = Curve(STEPS, [step / 500 for step in STEPS])


def labels(svg: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in re.findall(r">([^<>\s]+)</text>", svg)]


@pytest.mark.parametrize(
    "pair",
    [
        TermCurves("a/loss", FALLING, None),
        TermCurves("a/loss", None, RISING),
        TermCurves("a/loss", FALLING, Curve([500], [0.3])),
        TermCurves("a/loss", Curve([1], [2.0]), None),
        TermCurves("a/loss", Curve([1, 2, 3], [1.0, float("nan"), 2.0]), None),
        TermCurves("a/loss", Curve([1, 2], [float("nan")] * 2), None),
        TermCurves("a/loss", Curve([1, 2], [0.0, 0.0]), None),
    ],
)
def test_a_chart_is_wellformed_svg_that_refers_only_to_itself(pair):
    svg = draw_curves(pair, 'run <a> & "b"')
    ElementTree.fromstring(svg)
    assert "http" not in svg
    ids = re.findall(r' id="([^"]*)"', svg)
    assert set(re.findall(r'(?:url\(|href=")#([^")]*)', svg)) <= set(ids)


def test_charts_of_the_same_curve_have_their_own_ids():
    pair = TermCurves("train/steps_per_sec", FALLING, FALLING)
    first, second = (
        set(re.findall(r' id="([^"]*)"', draw_curves(pair, f"{run} speed"))) for run in "ab"
    )
    assert first
    assert not first & second


def test_colours_follow_the_theme_of_the_page():
    svg = draw_curves(TermCurves("a/loss", FALLING, RISING), "a")
    assert {"var(--train)", "var(--heldout)", "var(--soft)"} <= set(re.findall(r"var\(.*?\)", svg))
    assert not re.search(r"#[0-9a-f]{6}\b(?!\w)", re.sub(r'(url\(|href=")#\w+', "", svg))


def test_only_a_curve_that_falls_far_gets_a_logarithmic_axis():
    assert {0.2, 2.0, 10.0} & set(labels(draw_curves(TermCurves("a", FALLING, None), "a")))
    rising = [y for y in labels(draw_curves(TermCurves("a", RISING, None), "a")) if y <= 1]
    assert np.allclose(np.diff(rising), np.diff(rising)[0])


def test_charts_are_reproducible():
    pair = TermCurves("a/loss", FALLING, RISING)
    assert draw_curves(pair, "a") == draw_curves(pair, "a")
