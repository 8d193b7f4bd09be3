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

from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.progress import counting_bar


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with audio.")],
    quantizer: Annotated[Path, typer.Option(help="Run, checkpoint, bundle or component file.")],
    out: Annotated[Path, typer.Option(help="Folder of the sidecar corpus.")],
    speech_encoder: Annotated[
        Path | None, typer.Option(help="Folder of its pretrained speech encoder, if it has moved.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, or leave it when it is complete and of this corpus and quantizer.

    Several ranks share the shards: accelerate launch -m gsv2 corpus extract-codes ...

    Example: python data_tools/extract_codes.py --corpus CORPUS --quantizer RUN --out CODES
    """
    try:
        distributed = Distributed()
        chosen = torch.device(device) if device else distributed.device
        with counting_bar("encoding") as bar:
            manifest = extract_codes(
                corpus,
                quantizer,
                out,
                chosen,
                SharedWork(
                    ranks=PatientRanks(distributed),
                    progress=bar if distributed.is_main else None,
                ),
                ClipEncoding(speech_encoder=speech_encoder),
            )
        distributed.close()
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if not distributed.is_main:
        return
    typer.echo(
        f"{out}: codes of {manifest.num_clips} clips, {manifest.num_codebooks} codebooks, "
        f"quantizer {manifest.quantizer}"
    )


if __name__ == "__main__":
    typer.run(main)
