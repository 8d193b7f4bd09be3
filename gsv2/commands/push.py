"""`gsv2 push`: a bundle with a model card, into a folder or a repository of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    bundle: Annotated[Path, typer.Argument(help="bundle folder")],
    target: Annotated[str, typer.Argument(help="folder to write, or hf://OWNER/NAME")],
    licence: Annotated[
        str | None, typer.Option(help="licence of the weights, for the card, e.g. cc-by-4.0")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="make a private repository")] = False,
) -> None:
    """Publish a bundle: safetensors, `config.json` and a model card.

    The card tells hours by language, licences of the recordings, cost of the training, and word
    errors and similarity with their intervals: `gsv2 fit` and `gsv2 evaluate --keep` leave them in
    the bundle. `Synthesizer.from_pretrained` speaks with either. A repository needs the hub's token
    (HF_TOKEN, or `hf auth login`).

    Example: `gsv2 push runs/quickstart/bundle runs/quickstart/published`
    """
    from gsv2.hub.push import push_bundle

    typer.echo(f"published: {push_bundle(bundle, target, licence=licence, private=private)}")
