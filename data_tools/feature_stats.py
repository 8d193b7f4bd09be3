"""Compute mean and standard deviation of a speech encoder's features over a sample of a corpus.

Example: `python data_tools/feature_stats.py --corpus runs/quickstart/corpus/train
--encoder logmel --out runs/quickstart/logmel.safetensors`
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that may fail
    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("feature_stats")

from pathlib import Path
from typing import Annotated

import typer

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.inference.feature_statistics import compute_feature_statistics
from gsv2.inference.launched_work import launched_work
from gsv2.models.config_values import build_config


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with audio; its corpus.json records it.")],
    encoder: Annotated[str, typer.Option(help="Name of the speech encoder, e.g. w2v-bert-2.0.")],
    out: Annotated[Path, typer.Option(help="File to write, .safetensors.")],
    path: Annotated[
        str | None, typer.Option(help="Folder or hub id of its weights; default: as published.")
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Hidden layer; default: the usual one.")] = None,
    max_hours: Annotated[float, typer.Option(help="Audio of the sample, from all shards.")] = 10.0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, which a quantizer normalises features by: model.feature_stats=OUT.

    Several ranks share the shards: accelerate launch -m gsv2 corpus feature-stats ...

    Example: python data_tools/feature_stats.py --corpus CORPUS --encoder w2v-bert-2.0 --out FILE
    """
    try:
        options = {"name": encoder, "path": path, "layer": layer}
        config = build_config(SpeechEncoderConfig, options, "encoder")
        with launched_work("encoding", device) as work:
            found = compute_feature_statistics(
                corpus,
                config,
                out,
                work.device,
                work.shared,
                max_hours,
            )
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if work.is_main:
        typer.echo(
            f"{out}: {len(found.mean)} features of {encoder} over {found.num_frames} frames, "
            f"standard deviation {found.std.min():.3g} to {found.std.max():.3g}"
        )


if __name__ == "__main__":
    typer.run(main)
