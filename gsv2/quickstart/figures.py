"""Charts of the report, as text that goes straight into HTML.

Charts are drawn in placeholder colours that become CSS variables, so that they follow the
page's light or dark theme.
"""

from __future__ import annotations

import io
import re
from html import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from gsv2.quickstart.curves import Curve, TermCurves

_COLOURS = {  # placeholder -> CSS variable of the page
    "#010101": "var(--soft)",
    "#020202": "var(--line)",
    "#030303": "var(--train)",
    "#040404": "var(--heldout)",
}
_TEXT, _GRID, _TRAIN, _HELDOUT = _COLOURS
_STYLE = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 8.5,
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": _GRID,
}
_LOG_RATIO = 8.0
_SMOOTH_POINTS = 12  # a training curve is smoothed to about so many independent points


def draw_curves(pair: TermCurves, label: str) -> str:
    """Draw one term over the steps.

    Args:
        pair: the term and its counterpart on held-out clips.
        label: name of the chart, its own on the page.

    Returns:
        An `<svg>` element that refers to nothing outside itself.
    """
    with rc_context({**_STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(3.4, 1.9), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=True, axis="y", linewidth=0.6)
        if pair.train:
            marker = "o" if len(pair.train.steps) == 1 else None
            steps, smooth = pair.train.steps, _smooth(pair.train)
            axes.plot(steps, pair.train.values, color=_TRAIN, linewidth=0.8, alpha=0.3)
            axes.plot(steps, smooth, color=_TRAIN, linewidth=1.6, marker=marker, markersize=3)
        if pair.validation:
            axes.plot(*pair.validation, color=_HELDOUT, linewidth=1.6, marker="o", markersize=3)
        _scale(axes, pair)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return _embed(buffer.getvalue(), label)


def _scale(axes: Axes, pair: TermCurves) -> None:
    axes.margins(x=0.015)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    if _falls_far(pair):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _falls_far(pair: TermCurves) -> bool:
    """Tell whether a logarithmic axis shows more: a positive curve that fell by `_LOG_RATIO`."""
    values = [v for curve in (pair.train, pair.validation) if curve for v in curve.values]
    finite = [value for value in values if np.isfinite(value)]
    if not finite or min(finite) <= 0 or max(finite) / min(finite) < _LOG_RATIO:
        return False
    return finite[-1] < finite[0]


def _smooth(curve: Curve) -> NDArray[np.float64]:
    """Average over a window that never reaches past the curve's ends."""
    values = np.asarray(curve.values)
    reach = len(values) // (2 * _SMOOTH_POINTS)
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return np.array([window.mean() for window in windows])


def _embed(svg: str, label: str) -> str:
    """Turn a standalone SVG file into an element of an HTML page."""
    element = svg[svg.index("<svg") :]
    for tag in ("metadata", "style"):
        element = re.sub(rf"<{tag}[^>]*>.*?</{tag}>", "", element, flags=re.DOTALL)
    element = re.sub(r"<g id=\"[^\"]*\"", "<g", element)  # ids would repeat on the page
    element = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", element)
    element = re.sub(r"xlink:href", "href", element)
    element = re.sub(r"font-family: [^;\"]*;", "", element)
    element = re.sub(r"<svg[^>]* (viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", element, count=1)
    for placeholder, variable in _COLOURS.items():
        element = element.replace(placeholder, variable)
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
