"""`gsv2 detect`: whether files say that they are speech of gsv2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def detect(
    files: Annotated[list[Path], typer.Argument(help="audio files")],
) -> None:
    """Tell which files are marked as synthetic speech.

    A comment names gsv2; the watermark in the sound (`pip install 'gsv2[watermark]'`) is that of
    all programs that mark by Perth. A file without a mark may be synthetic all the same.

    Example: `gsv2 detect out.wav`
    """
    from gsv2.audio.marking import read_marks

    for file in files:
        typer.echo(f"{file}: {'; '.join(read_marks(file)) or 'no mark'}")
