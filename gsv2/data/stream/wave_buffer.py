"""Wave buffer: memory of the waves of a micro-batch, made before clips are decoded into it.

Copying waves together afterwards costs a tenth of decoding them: they have left the caches.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

_HUGE_BYTES = 4 << 20
"""Size from which numpy asks the kernel for huge pages; zeroing small ones costs as much again."""
_FLOAT_BYTES = 4
_MAX_FREE = 2
"""Buffers that a pool keeps; a loop that drops each batch for the next needs no more."""


class WaveBufferPool:
    """Memory of buffers that nobody holds any more, for the next ones.

    The kernel zeroes fresh memory, which costs up to a tenth of decoding what goes in. In a
    DataLoader worker, memory is shared and goes to the training process, so none comes back.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, num_clips: int, num_samples: int) -> Tensor:
        """Return [C, N] float32 with any content."""
        count = num_clips * num_samples
        if get_worker_info() is not None and count:
            storage = torch.UntypedStorage._new_shared(count * _FLOAT_BYTES)
            return torch.empty(0, dtype=torch.float32).set_(storage).reshape(num_clips, num_samples)
        memory = self._free.pop() if self._free else np.empty(0, dtype=np.float32)
        if len(memory) < count:
            memory = np.empty(max(count, _HUGE_BYTES // _FLOAT_BYTES), dtype=np.float32)
        taken = memory[:count]
        weakref.finalize(taken, self._give_back, memory).atexit = False  # a tensor holds `taken`
        return torch.from_numpy(taken).reshape(num_clips, num_samples)

    def _give_back(self, memory: np.ndarray) -> None:
        if len(self._free) < _MAX_FREE:
            self._free.append(memory)


class WaveBuffer:
    """Float32 samples, one row a clip, each as long as the longest.

    Args:
        lengths: expected number of samples of each clip.
        pool: pool that memory comes from and goes back to.
    """

    def __init__(self, lengths: Sequence[int], pool: WaveBufferPool | None = None) -> None:
        self._pool = pool or WaveBufferPool()
        self._memory = self._pool.take(len(lengths), max(lengths, default=0))  # [C, N]
        self._rows: list[np.ndarray] = list(self._memory.numpy())

    def clip(self, place: int) -> np.ndarray:
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
            memory = self._pool.take(*shape)
            rows = list(memory.numpy())
            for row, wave in zip(rows, waves, strict=True):
                row[: len(wave)] = wave
        for row, length in zip(rows, lengths, strict=True):
            row[length:] = 0.0
        return memory[:, None], torch.from_numpy(np.array(lengths, dtype=np.int64))


def _start(array: np.ndarray) -> int:
    """Return where an array lies in memory."""
    return array.__array_interface__["data"][0]
