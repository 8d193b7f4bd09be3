"""Export of a run, which test_bundle_damage.py has two processes do at the same time."""

from __future__ import annotations

from pathlib import Path

from gsv2.inference.bundle import export_bundle


def main(run: str, out: str) -> None:
    """Export `run` to `out`."""
    export_bundle([Path(run)], Path(out))
