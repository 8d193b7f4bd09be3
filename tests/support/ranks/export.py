"""Export of a run, which two processes do at the same time, or one is killed in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from gsv2.inference import bundle


def main(run: str, out: str, *killed: str) -> None:
    """Export `run` to `out`; die of SIGKILL before it is in its place if a third word says so."""
    if killed:
        bundle._put_in_place = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    bundle.export_bundle([Path(run)], Path(out))
