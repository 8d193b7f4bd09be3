"""Command `gsv2`, also as `python -m gsv2`."""

from __future__ import annotations

import os
import sys

from gsv2.heap import keep_freed_memory
from gsv2.openmp import limit_spinning
from gsv2.standard_output import end_with_reader


def main() -> None:
    """Run the command; training is told to leave also while its programs are being imported."""
    end_with_reader()
    limit_spinning(os.environ)  # before torch, which reads it when it is imported
    keep_freed_memory(os.environ)
    if "train" in sys.argv[1:3]:  # before or after --debug
        from gsv2.training.faults.signals import exit_at_signal

        exit_at_signal()
    from gsv2.cli import app

    app()


if __name__ == "__main__":
    main()
