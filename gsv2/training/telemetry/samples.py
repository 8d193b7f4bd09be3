"""Sample files, `RUN/samples`: sounds and drawn sheets of the panels of the last validations."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gsv2.audio.picture import PICTURE_RANGE_DB, picture_levels
from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.files import atomic_folder, named_errors
from gsv2.training.stage import Panel
from gsv2.training.telemetry.tracker import PanelFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_FOLDER_DIGITS = 8
_WIDTH_INCHES = 8.0
_PICTURE_INCHES = 2.0
"""Height of one picture."""


def write_samples(folder: Path, step: int, panels: Sequence[Panel], keep: int) -> list[PanelFile]:
    """Write `folder/step_N/CLIP.png` and `CLIP.WHAT.flac`, whole or not at all.

    Args:
        folder: folder of all samples.
        step: step of the validation; folders of later steps, from before a rollback, go.
        panels: what to write, at least one wave or image each.
        keep: folders that stay, this one included.

    Returns:
        The files, the sheet of each panel before its sounds.

    Raises:
        OSError: the disk does not take them; what was there stays.
    """
    path = folder / f"step_{step:0{_FOLDER_DIGITS}d}"
    with atomic_folder(path) as aside:
        names = [name for panel in panels for name in _write_panel(aside, panel)]
    others = sorted(other for other in folder.glob("step_*") if other != path)
    stale = [other for other in others if other.name > path.name]
    earlier = [other for other in others if other.name < path.name]
    for other in [*stale, *earlier[: len(earlier) - (keep - 1)]]:
        shutil.rmtree(other)
    return [PanelFile(name, path / file) for name, file in names]


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


def _write_panel(folder: Path, panel: Panel) -> list[tuple[str, str]]:
    """Write one panel; return the name and the file of each part."""
    stem = _file_name(panel.name)
    sheet = folder / f"{stem}.png"
    with named_errors(sheet):
        draw_sheet(panel).savefig(sheet, dpi=80)
    written = [(f"{stem}/sheet", sheet.name)]
    for title, wave in panel.waves.items():
        what = _file_name(title)
        file = f"{stem}.{what}.flac"
        values = wave.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            logger.warning("%s of %s is not finite: no sound of it", title, panel.name)
            continue
        save_wave(folder / file, values, SAMPLE_RATE)
        written.append((f"{stem}/{what}", file))
    return written


def _file_name(text: str) -> str:
    """Return text that is safe in a file's name; keys of clips may hold any character."""
    return re.sub(r"[^\w-]+", "_", text)
