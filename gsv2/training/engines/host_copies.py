"""Copies on the host of what a device (or the training process) goes on changing.

A checkpoint blocks a step for as long as these copies take: about one memcpy, since the memory
they go to is used again for the next checkpoint, and page-locked where a GPU is the source.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

HostCopy = Callable[[str, Tensor], Tensor]
"""Name, tensor on any device -> copy of it on the host, complete after `HostCopies.finish`."""


def copy_to_host(name: str, tensor: Tensor) -> Tensor:
    """Return a fresh contiguous copy: the `HostCopy` of who captures only once."""
    return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())


class HostCopies:
    """Memory for one copy of everything, kept from checkpoint to checkpoint."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}
        self._streams: set[torch.device] = set()

    def copy(self, name: str, tensor: Tensor) -> Tensor:
        """Copy a tensor into the memory of this name; the copy of last time is lost."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            on_gpu = tensor.device.type == "cuda"
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=on_gpu)
            self._kept[name] = kept
        if tensor.device.type == "cuda":
            self._streams.add(tensor.device)
        return kept.copy_(tensor.detach(), non_blocking=True)

    def finish(self) -> None:
        """Wait until every copy is complete."""
        for device in self._streams:
            torch.cuda.synchronize(device)
        self._streams.clear()

    @property
    def num_bytes(self) -> int:
        """Size of the memory kept."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._kept.values())
