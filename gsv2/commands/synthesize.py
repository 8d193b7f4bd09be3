"""`gsv2 synthesize`: a text in the voice of recordings, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gsv2.commands.evaluate import CANDIDATES_HELP

FUSION_HELP = (
    "how several prompts are heard: concatenate (clips of one speaker), average (each alone, "
    "predictions averaged by weight), or auto (average for voice files of several speakers)"
)


_REF_HELP = "recording or voice file of the voice; repeat for several"
_SPEECH_HELP = "folder of its pretrained speech encoder, if it has moved"
_TEXT_HELP = "folder of its pretrained text encoder, if it has moved"
_RATE_HELP = "above 1 = faster; for a GPT that reads by a pointer"
_TIMES_HELP = ".TextGrid or .json for when words are spoken"


def synthesize(
    bundle: Annotated[Path, typer.Option(help="bundle folder")],
    text: Annotated[str, typer.Option(help="what to say, any language and script")],
    ref: Annotated[list[Path], typer.Option(help=_REF_HELP)],
    out: Annotated[Path, typer.Option(help="WAV file to write, 32 kHz")],
    ref_text: Annotated[
        list[str] | None, typer.Option(help="transcript of each recording, in the same order")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(help="weight of each reference's voice (default: equal)")
    ] = None,
    fusion: Annotated[str, typer.Option(help=FUSION_HELP)] = "auto",
    seed: Annotated[int, typer.Option(help="same seed, same speech")] = 0,
    rate: Annotated[float, typer.Option(help=_RATE_HELP)] = 1.0,
    candidates: Annotated[int | None, typer.Option(help=CANDIDATES_HELP, min=1)] = None,
    times: Annotated[Path | None, typer.Option(help=_TIMES_HELP)] = None,
    speech_encoder: Annotated[Path | None, typer.Option(help=_SPEECH_HELP)] = None,
    text_encoder: Annotated[Path | None, typer.Option(help=_TEXT_HELP)] = None,
) -> None:
    """Speak a text in the voice of one or several recordings, or of voice files.

    Example: `gsv2 synthesize --bundle runs/quickstart/bundle --text "The red train is late."
    --ref voice.wav --ref-text "What the recording says." --out out.wav`
    """
    from gsv2.inference.encoder_folders import EncoderFolders
    from gsv2.inference.sampling import SamplingConfig
    from gsv2.inference.speech_file import SpeechFiles, VoiceRecordings, write_speech

    voice = VoiceRecordings(ref, ref_text or [], weight or [])
    drawn = candidates or SamplingConfig.candidates
    sampling = SamplingConfig(
        seed=seed,
        speaking_rate=rate,
        candidates=drawn,
        prompt_fusion=fusion,  # type: ignore[arg-type]  # checked there, by name
    )
    files = SpeechFiles(out, times)
    encoders = EncoderFolders(speech_encoder, text_encoder)
    speech = write_speech(bundle, text, files, voice, sampling, encoders)
    cut = "" if speech.ended else " (cut at the length limit: no end of speech was found)"
    typer.echo(f"{out}: {len(speech.wave) / speech.sample_rate:.2f} s{cut}")
