"""`gsv2 import`: what fits of checkpoints that others have trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from gsv2.commands.terminal import print_table

_ENCODER_HELP = "folder of the HuBERT whose features it reads (chinese-hubert-base)"


def import_checkpoint(
    generator: Annotated[
        Path, typer.Argument(help="waveform model of GPT-SoVITS v1 or v2, e.g. s2G2333k.pth")
    ],
    out: Annotated[Path, typer.Option(help="folder to write")],
    discriminator: Annotated[
        Path | None, typer.Option(help="its discriminators, e.g. s2D2333k.pth")
    ] = None,
    speech_encoder: Annotated[Path | None, typer.Option(help=_ENCODER_HELP)] = None,
) -> None:
    """Take what fits of a GPT-SoVITS checkpoint, and print what was and was not taken.

    Nothing but tensors and settings is unpickled. The quantizer makes codes with
    `gsv2 corpus extract-codes --quantizer OUT/quantizer.safetensors`; generator and discriminators
    start a run: `gsv2 train vits2/base waveform_init.generator=OUT/generator.safetensors`.

    Example: `gsv2 import s2G2333k.pth --discriminator s2D2333k.pth --speech-encoder
    chinese-hubert-base --out runs/imported`
    """
    from gsv2.hub.gpt_sovits import import_sovits

    parts = import_sovits(
        generator, out, discriminator=discriminator, speech_encoder=speech_encoder
    )
    table = Table(box=box.SIMPLE)
    for heading in ("tensors", "number", "taken as", "note"):
        table.add_column(heading, overflow="fold")
    for part in parts:
        table.add_row(f"{part.source}.*", str(part.num_tensors), part.taken_as or "-", part.note)
    print_table(table)
