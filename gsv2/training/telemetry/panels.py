"""Panels of clips, drawn: sounds and pictures on one sheet per clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.training.stage import Panel

_MEL = MelConfig(n_fft=2048, win_length=1024, hop_length=320, num_mels=128)
_RANGE_NEPER = 75.0 / 20.0 * np.log(10.0)
"""Levels more than 75 dB under the loudest of a sheet are black."""
_WIDTH_INCHES = 8.0
_PICTURE_INCHES = 2.0
"""Height of one picture."""


class PanelFile(NamedTuple):
    """A picture or a sound of a panel."""

    name: str
    """`CLIP/sheet`, `CLIP/recording`, ...: the same at every validation."""
    path: Path
    """A `.png` or a `.flac`."""


def draw_sheet(panel: Panel) -> Figure:
    """Draw all waves and images of a panel, one under the other."""
    mels = {title: _log_mel(wave) for title, wave in panel.waves.items()}
    loudest = max((float(mel.max()) for mel in mels.values()), default=0.0)
    levels: dict[str, Any] = {"vmin": loudest - _RANGE_NEPER, "vmax": loudest}
    rows = [(title, mel, levels) for title, mel in mels.items()]
    rows += [(title, image.float().cpu().numpy(), {}) for title, image in panel.images.items()]
    figure = Figure(figsize=(_WIDTH_INCHES, _PICTURE_INCHES * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)  # no window system
    for axes, (title, values, scale) in zip(
        figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True
    ):
        axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest", **scale)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_axis_off()
    return figure


def _log_mel(wave: Tensor) -> np.ndarray:
    """Return [num_mels, T], of at least one frame."""
    wave = wave.detach().float().cpu()
    padded = torch.nn.functional.pad(wave, (0, max(0, _MEL.hop_length - len(wave))))
    assert _MEL.sample_rate == SAMPLE_RATE
    with torch.no_grad():
        return MelSpectrogram(_MEL)(padded[None, None])[0].numpy()
