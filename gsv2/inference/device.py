"""Device that speech is made on."""

from __future__ import annotations

import torch


def choose_device(asked: torch.device | None) -> torch.device:
    """Return the device that is asked for; None = the GPU, if there is one."""
    return asked or torch.device("cuda" if torch.cuda.is_available() else "cpu")
