"""`gsv2 voice`: voices as files, made once of recordings, and mixed by weight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def make(
    ref: Annotated[list[Path], typer.Argument(help="recordings of the voice, 0.5 to 30 s each")],
    bundle: Annotated[Path, typer.Option(help="bundle that will speak in it")],
    out: Annotated[Path, typer.Option(help="file to write, NAME.voice.safetensors")],
    licence: Annotated[str, typer.Option(help="licence of the recordings, e.g. CC-BY-4.0")],
    consent: Annotated[
        str, typer.Option(help="who has agreed that this voice speaks, and where it is written")
    ],
    ref_text: Annotated[
        list[str] | None, typer.Option(help="transcript of each recording, in the same order")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(help="weight of each recording (default: equal)")
    ] = None,
) -> None:
    """Write what a bundle reads of recordings as a file, to speak with at once and to pass on.

    It holds codes, style and transcript, and no audio; other bundles refuse it.

    Example: `gsv2 voice make VOICE.wav --ref-text "What it says." --bundle runs/quickstart/bundle
    --licence CC0-1.0 --consent "my own voice" --out anna.voice.safetensors`
    """
    from gsv2.inference.bundle_description import read_bundle_description
    from gsv2.inference.references import load_references
    from gsv2.inference.synthesizer import Synthesizer
    from gsv2.inference.voice_file import (
        SUFFIX,
        VoiceFile,
        VoiceNotes,
        check_voice_path,
        save_voice,
    )

    check_voice_path(out)
    notes = VoiceNotes(name=out.name.removesuffix(SUFFIX), licence=licence, consent=consent)
    read_bundle_description(bundle)
    references = load_references(ref, ref_text or [], weight or [])
    synthesizer = Synthesizer.from_bundle(bundle)
    enrolled = tuple(synthesizer.enroll(references))
    origin = synthesizer.enroller.hashes
    assert origin is not None, "a bundle has hashes"
    save_voice(out, VoiceFile(notes=notes, origin=origin, references=enrolled))
    typer.echo(f"{out}: the voice of {len(enrolled)} recordings")


@app.command()
def mix(
    voices: Annotated[list[Path], typer.Argument(help="voice files of one bundle, at least two")],
    weight: Annotated[list[float], typer.Option(help="weight of each voice, in the same order")],
    out: Annotated[Path, typer.Option(help="file to write, NAME.voice.safetensors")],
) -> None:
    """Mix voices by weight into a new one, with the licences and consents of all.

    Example: `gsv2 voice mix a.voice.safetensors b.voice.safetensors --weight 0.7 --weight 0.3
    --out c.voice.safetensors`
    """
    from gsv2.inference.voice_file import (
        SUFFIX,
        check_voice_path,
        load_voice,
        mix_voices,
        save_voice,
    )

    check_voice_path(out)
    loaded = [load_voice(path) for path in voices]
    mixed = mix_voices(loaded, weight, out.name.removesuffix(SUFFIX))
    save_voice(out, mixed)
    typer.echo(f"{out}: {len(mixed.references)} recordings of {len(voices)} voices")
