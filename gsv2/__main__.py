"""The `gsv2` command, also as `python -m gsv2`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; training is told to leave also while its programs are being imported."""
    if "train" in sys.argv[1:3]:  # before or after --debug
        from gsv2.training.faults.signals import leave_at_signal

        leave_at_signal()
    from gsv2.cli import app

    app()


if __name__ == "__main__":
    main()
