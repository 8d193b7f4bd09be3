"""Make the codes of a corpus with a trained quantizer.

Example: `python data_tools/extract_codes.py --corpus runs/quickstart/corpus/train
--quantizer runs/quickstart/quantizer --out runs/quickstart/codes/train`
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that may fail
    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("extract_codes")

from pathlib import Path
from typing import Annotated

import torch
import typer

from gsv2.inference.extraction import extract_codes
from gsv2.training.telemetry.progress import counting_bar


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with audio.")],
    quantizer: Annotated[Path, typer.Option(help="Run, checkpoint, bundle or component file.")],
    out: Annotated[Path, typer.Option(help="Folder of the sidecar corpus.")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, or leave it when it is complete and of this corpus and quantizer.

    Example: python data_tools/extract_codes.py --corpus CORPUS --quantizer RUN --out CODES
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with counting_bar("encoding") as progress:
            manifest = extract_codes(corpus, quantizer, out, torch.device(chosen), progress)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"{out}: codes of {manifest.num_clips} clips, {manifest.num_codebooks} codebooks, "
        f"quantizer {manifest.quantizer}"
    )


if __name__ == "__main__":
    typer.run(main)
