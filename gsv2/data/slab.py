"""The memory of a micro-batch of waves, made before decoding so that clips are decoded into it.

Copying waves together afterwards costs a tenth of decoding them: they have left the caches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

_HUGE_BYTES = 4 << 20
"""Size from which numpy asks the kernel for huge pages; zeroing small ones costs as much again."""
_FLOAT_BYTES = 4


class WaveSlab:
    """Rows of float32 samples, one a clip, each as long as the longest.

    Args:
        lengths: expected samples of each clip.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._memory = _allocate(len(lengths), max(lengths, default=0))  # [C, N]
        self._rows: list[np.ndarray] = list(self._memory.numpy())

    def row(self, place: int) -> np.ndarray:
        """Return [N] float32, the memory of a clip, with any content."""
        return self._rows[place]

    def stack(self, waves: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Pad clips to the longest, without copying if each of the rows holds the next of them.

        Args:
            waves: [N_i] float32 of the clips that could be read, at least one.

        Returns:
            [C, 1, N] float32, zero-padded, and [C] int64 lengths.
        """
        lengths = [len(wave) for wave in waves]
        shape = (len(waves), max(lengths))
        memory, rows = self._memory, self._rows
        pairs = zip(waves, rows, strict=False)
        if memory.shape != shape or any(_start(wave) != _start(row) for wave, row in pairs):
            memory = _allocate(*shape)
            rows = list(memory.numpy())
            for row, wave in zip(rows, waves, strict=True):
                row[: len(wave)] = wave
        for row, length in zip(rows, lengths, strict=True):
            row[length:] = 0.0
        return memory[:, None], torch.from_numpy(np.array(lengths, dtype=np.int64))


def _allocate(num_rows: int, num_samples: int) -> Tensor:
    """Return [C, N] float32 with any content; in a DataLoader worker, memory that it can share."""
    count = num_rows * num_samples
    if get_worker_info() is not None and count:
        storage = torch.UntypedStorage._new_shared(count * _FLOAT_BYTES)
        flat = torch.empty(0, dtype=torch.float32).set_(storage)
    else:
        huge = np.empty(max(count, _HUGE_BYTES // _FLOAT_BYTES), dtype=np.float32)
        flat = torch.from_numpy(huge[:count])
    return flat.reshape(num_rows, num_samples)


def _start(array: np.ndarray) -> int:
    """Return where an array lies in memory."""
    return array.__array_interface__["data"][0]
