"""TensorBoard events of a run, written by torch's own writer.

`tensorboard` is an extra: it brings the writer's format, the viewer and the reader in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gsv2.audio.wave import load_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.training.telemetry.tracker import PanelFile


class TensorBoardTracker:
    """Scalars, pictures and sounds under `RUN/tensorboard`."""

    def __init__(self, folder: Path, done: int) -> None:
        """Open a file of events that begins after step `done`.

        Events of later steps, from before a rollback, are dropped by whoever reads the folder.

        Raises:
            ValueError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "tracking.tensorboard=true needs TensorBoard; pip install 'gsv2[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=done + 1)

    def advance(self, step: int) -> None:
        """Nothing to do."""

    def log(self, step: int, record: Mapping[str, Any]) -> None:
        """Write the numbers of the record and hand them to the file."""
        for key, value in record.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def show(self, step: int, files: Sequence[PanelFile]) -> None:
        """Write pictures and sounds."""
        from matplotlib.image import imread  # half a second, which runs without TensorBoard save

        for file in files:
            name = f"samples/{file.name}"
            if file.path.suffix == ".png":
                picture = (imread(file.path)[..., :3] * np.iinfo(np.uint8).max).astype(np.uint8)
                self._writer.add_image(name, picture, step, dataformats="HWC")
            else:
                wave = load_wave(file.path, SAMPLE_RATE)
                self._writer.add_audio(name, wave[None], step, sample_rate=SAMPLE_RATE)
        self._writer.flush()

    def close(self, kind: type[BaseException] | None = None) -> None:
        """Close the file."""
        self._writer.close()
