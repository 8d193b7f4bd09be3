"""`gsv2 align`: which character is spoken when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def align(
    corpus: Annotated[Path, typer.Argument(help="corpus whose codes were made")],
    codes: Annotated[Path, typer.Option(help="sidecar corpus of its codes")],
    aligner: Annotated[
        Path | None, typer.Option(help="run, checkpoint or file of the aligner; none: only --clip")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="key of a clip whose times are told")] = None,
    out: Annotated[
        Path | None, typer.Option(help=".TextGrid or .json for the times of --clip")
    ] = None,
    leave_out_outliers: Annotated[
        bool, typer.Option("--leave-out-outliers", help="no alignment for suspect transcripts")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any")] = "",
) -> None:
    """Say which character is spoken at each frame of each clip, beside its codes.

    Several ranks share the shards (`accelerate launch -m gsv2 align ...`), and a call that was
    ended goes on. A GPT that reads by a pointer is trained on it. `--clip KEY` tells when words
    are spoken.

    Example: `gsv2 align runs/quickstart/corpus/train --codes runs/quickstart/codes/train
    --aligner runs/quickstart/aligner`
    """
    from gsv2.commands import aligning
    from gsv2.inference.spoken_times import to_json, write_times

    if aligner is not None:
        for line in aligning.align(corpus, codes, aligner, device, leave_out_outliers):
            typer.echo(line)
    if clip is not None:
        times = aligning.clip_times(corpus, codes, clip)
        if out is None:
            typer.echo(to_json(times))
        else:
            write_times(times, out)
            typer.echo(f"times: {out}")
