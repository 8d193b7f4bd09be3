"""Work on a corpus that the ranks of a launcher share: what each tool of one does around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from gsv2.inference.clip_batches import SharedWork
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.progress import counting_bar


class LaunchedWork(NamedTuple):
    """This rank's part of a work."""

    device: torch.device
    """Device that it computes on."""
    shared: SharedWork
    """Whom it shares the clips with; the first rank shows a bar."""
    is_main: bool
    """Whether it is the first rank, which tells the result."""


@contextmanager
def launched_work(label: str, device: str = "") -> Iterator[LaunchedWork]:
    """Join the ranks of the launcher, or stand alone, and leave them when the work is done.

    Args:
        label: what the bar says.
        device: device of torch; "" = the rank's own, a GPU if there is any.

    Raises:
        RuntimeError: torch knows no such device.
    """
    distributed = Distributed()
    chosen = torch.device(device) if device else distributed.device
    with counting_bar(label) as bar:
        shared = SharedWork(
            ranks=PatientRanks(distributed), progress=bar if distributed.is_main else None
        )
        yield LaunchedWork(chosen, shared, distributed.is_main)
    distributed.close()
