"""Full precision within autocast: a context for what half precision would spoil."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context without autocast; the meta device, where costs are counted, has none."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
