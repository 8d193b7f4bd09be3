"""What a stage shows of a clip: sounds and pictures, drawn on one sheet per clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch

_MEL = MelConfig(n_fft=2048, win_length=1024, hop_length=320, num_mels=128)
_RANGE_NEPER = 75.0 / 20.0 * np.log(10.0)
"""Levels more than 75 dB under the loudest of a sheet are black."""
_WIDTH_INCHES = 8.0
_PICTURE_INCHES = 2.0
"""Height of one picture."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One clip of the validation, as several parts of a stage see it."""

    name: str
    """Key of the clip."""
    waves: Mapping[str, Tensor] = field(default_factory=dict)
    """What it is -> [N] float, at `SAMPLE_RATE`; drawn as spectrograms on one scale."""
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """What it is -> [H, T] float, each drawn on its own scale, row 0 at the bottom."""


@runtime_checkable
class PanelStage(Protocol):
    """A stage that has something to show."""

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return a panel for each clip of a batch on the device; evaluation mode, no gradients.

        Only the main rank asks: bare networks, no collective.
        """


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
