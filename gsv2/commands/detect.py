"""`gsv2 detect`: whether files say that they are speech of gsv2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def detect(
    files: Annotated[list[Path], typer.Argument(help="audio files")],
) -> None:
    """Tell which files are marked as synthetic speech of gsv2.

    A file without a mark may be synthetic all the same: marks are lost where a file is encoded
    again.

    Example: `gsv2 detect out.wav`
    """
    from gsv2.audio.marking import read_mark

    for file in files:
        typer.echo(f"{file}: {read_mark(file) or 'no mark'}")
