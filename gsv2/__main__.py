"""`python -m gsv2`: the `gsv2` command."""

from __future__ import annotations

from gsv2.cli import app

if __name__ == "__main__":
    app()
