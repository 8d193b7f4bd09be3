"""Panels of clips, drawn: sounds and pictures on one sheet per clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gsv2.audio.picture import PICTURE_RANGE_DB, picture_levels
from gsv2.training.stage import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH_INCHES = 8.0
_PICTURE_INCHES = 2.0
"""Height of one picture."""


def draw_sheet(panel: Panel) -> Figure:
    """Draw all waves and images of a panel, one under the other."""
    # Half a second, which processes that draw nothing save: all ranks but one.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mels = {title: picture_levels(wave) for title, wave in panel.waves.items()}
    loudest = max((float(mel.max()) for mel in mels.values()), default=0.0)
    levels: dict[str, Any] = {"vmin": loudest - PICTURE_RANGE_DB, "vmax": loudest}
    pictures = [(title, mel, levels) for title, mel in mels.items()]
    pictures += [(title, image.float().cpu().numpy(), {}) for title, image in panel.images.items()]
    figure = Figure(figsize=(_WIDTH_INCHES, _PICTURE_INCHES * len(pictures)), layout="constrained")
    FigureCanvasAgg(figure)  # no window system
    for axes, (title, values, scale) in zip(
        figure.subplots(len(pictures), squeeze=False)[:, 0], pictures, strict=True
    ):
        axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest", **scale)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()
    return figure
