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

import typer

from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.inference.launched_work import launched_work


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with audio.")],
    quantizer: Annotated[Path, typer.Option(help="Run, checkpoint, bundle or component file.")],
    out: Annotated[Path, typer.Option(help="Folder of the sidecar corpus.")],
    speech_encoder: Annotated[
        Path | None, typer.Option(help="Folder of its pretrained speech encoder, if it has moved.")
    ] = None,
    feature_stats: Annotated[
        Path | None, typer.Option(help="File for the features' statistics, by the same pass.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, or leave it when it is complete and of this corpus and quantizer.

    Several ranks share the shards: accelerate launch -m gsv2 corpus extract-codes ...

    Example: python data_tools/extract_codes.py --corpus CORPUS --quantizer RUN --out CODES
    """
    try:
        with launched_work("encoding", device) as work:
            manifest = extract_codes(
                corpus,
                quantizer,
                out,
                work.device,
                work.shared,
                ClipEncoding(speech_encoder=speech_encoder, feature_stats=feature_stats),
            )
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if not work.is_main:
        return
    typer.echo(
        f"{out}: codes of {manifest.num_clips} clips, {manifest.num_codebooks} codebooks, "
        f"quantizer {manifest.quantizer}"
    )


if __name__ == "__main__":
    typer.run(main)
