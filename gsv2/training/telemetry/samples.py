"""Sample files, `RUN/samples`: sounds and sheets of the panels of the last validations."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.files import atomic_folder, named_errors
from gsv2.training.stage import Panel
from gsv2.training.telemetry.panels import draw_sheet
from gsv2.training.telemetry.tracker import PanelFile

logger = logging.getLogger(__name__)

_FOLDER_DIGITS = 8


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
