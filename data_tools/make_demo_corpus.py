"""Make the demo corpus: 22 espeak-ng voices, six languages, five scripts.

Example: `python data_tools/make_demo_corpus.py --out runs/quickstart/corpus --minutes 45`
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gsv2.quickstart.demo_corpus import make_demo_corpus
from gsv2.training.telemetry.progress import counting_bar


def main(
    out: Annotated[Path, typer.Option(help="Folder for the corpora train and heldout.")],
    seed: Annotated[int, typer.Option(help="Of sentences and noise.")] = 0,
    minutes: Annotated[float, typer.Option(help="Of training speech; at least about 9.")] = 45.0,
) -> None:
    """Write OUT/train and OUT/heldout, or reuse them when they were made with the same options.

    Example: python data_tools/make_demo_corpus.py --out runs/quickstart/corpus
    """
    try:
        with counting_bar("speaking") as progress:
            corpora = make_demo_corpus(out, seed=seed, minutes=minutes, progress=progress)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for name, manifest in zip(corpora._fields, corpora, strict=True):
        typer.echo(
            f"{out / name}: {manifest.num_clips} clips, {manifest.hours * 60:.1f} minutes, "
            f"{manifest.num_speakers} voices, {len(manifest.languages)} languages"
        )


if __name__ == "__main__":
    typer.run(main)
