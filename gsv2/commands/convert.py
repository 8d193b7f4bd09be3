"""`gsv2 convert`: what a recording says in the voice of others, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    bundle: Annotated[Path, typer.Option(help="bundle folder")],
    recording: Annotated[Path, typer.Option(help="what is said, any language and length")],
    ref: Annotated[list[Path], typer.Option(help="recording of the voice; repeat for several")],
    out: Annotated[Path, typer.Option(help="WAV file to write, 32 kHz")],
    weight: Annotated[
        list[float] | None, typer.Option(help="weight of each reference's voice (default: equal)")
    ] = None,
    speech_encoder: Annotated[
        Path | None, typer.Option(help="folder of its pretrained speech encoder, if it has moved")
    ] = None,
) -> None:
    """Say what a recording says, at the same times, in the voice of one or several others.

    Example: `gsv2 convert --bundle runs/quickstart/bundle --recording SAID.wav --ref VOICE.wav
    --out out.wav`
    """
    from gsv2.inference.conversion import convert_recording
    from gsv2.inference.encoder_folders import EncoderFolders
    from gsv2.inference.speech_file import VoiceRecordings

    voice = VoiceRecordings(ref, (), weight or [])
    encoders = EncoderFolders(speech_encoder)
    seconds = convert_recording(bundle, recording, out, voice, encoders=encoders)
    typer.echo(f"{out}: {seconds:.2f} s")
