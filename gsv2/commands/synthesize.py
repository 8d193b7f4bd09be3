"""`gsv2 synthesize`: a text in the voice of recordings, into a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gsv2.commands.evaluate import CANDIDATES_HELP

if TYPE_CHECKING:
    from gsv2.audio.encoding import EncodedFormat

FUSION_HELP = (
    "how several prompts are heard: concatenate (clips of one speaker), average (each alone, "
    "predictions averaged by weight), or auto (average for voice files of several speakers)"
)


MARK_HELP = "mark it as synthetic speech, in the file and in the sound; gsv2 detect reads it"
_REF_HELP = "recording or voice file of the voice; repeat for several"
_SPEECH_HELP = "folder of its pretrained speech encoder, if it has moved"
_TEXT_ENCODER_HELP = "folder of its pretrained text encoder, if it has moved"
_TEXT_HELP = "what to say, any language and script; [pause 0.5s] and SSML are followed"
_TEXT_FILE_HELP = "file of the text in UTF-8; - reads the standard input"
_REF_TEXT_HELP = "transcript of each recording, in the same order"
_WEIGHT_HELP = "weight of each reference's voice (default: equal)"
_RATE_HELP = "above 1 = faster; for a GPT that reads by a pointer"
_OUT_HELP = "audio file to write, 32 kHz; with --stream, - is the standard output"
_STREAM_HELP = "write speech while it is spoken; of each sentence one candidate is drawn"
_CANDIDATES_HELP = f"{CANDIDATES_HELP} [default: 8; 1 with --stream]"
_FORMAT_HELP = "on the standard output: wav, flac, mp3, opus, aac, or pcm (16 bit, 24 kHz)"
_ENGINE_HELP = "what computes: torch, or onnx: the graphs of gsv2 export --onnx, on the CPU"
_TIMES_HELP = ".TextGrid or .json for when words are spoken"


def synthesize(
    bundle: Annotated[Path, typer.Option(help="bundle folder")],
    ref: Annotated[list[Path], typer.Option(help=_REF_HELP)],
    out: Annotated[Path, typer.Option(help=_OUT_HELP)],
    text: Annotated[str | None, typer.Option(help=_TEXT_HELP)] = None,
    text_file: Annotated[Path | None, typer.Option(help=_TEXT_FILE_HELP)] = None,
    ref_text: Annotated[list[str] | None, typer.Option(help=_REF_TEXT_HELP)] = None,
    weight: Annotated[list[float] | None, typer.Option(help=_WEIGHT_HELP)] = None,
    fusion: Annotated[str, typer.Option(help=FUSION_HELP)] = "auto",
    seed: Annotated[int, typer.Option(help="same seed, same speech")] = 0,
    rate: Annotated[float, typer.Option(help=_RATE_HELP)] = 1.0,
    candidates: Annotated[int | None, typer.Option(help=_CANDIDATES_HELP, min=1)] = None,
    stream: Annotated[bool, typer.Option("--stream", help=_STREAM_HELP)] = False,
    audio_format: Annotated[str, typer.Option("--format", help=_FORMAT_HELP)] = "wav",
    times: Annotated[Path | None, typer.Option(help=_TIMES_HELP)] = None,
    mark: Annotated[bool, typer.Option(help=MARK_HELP)] = True,
    engine: Annotated[str, typer.Option(help=_ENGINE_HELP)] = "torch",
    speech_encoder: Annotated[Path | None, typer.Option(help=_SPEECH_HELP)] = None,
    text_encoder: Annotated[Path | None, typer.Option(help=_TEXT_ENCODER_HELP)] = None,
) -> None:
    """Speak a text in the voice of one or several recordings, or of voice files.

    Example: `gsv2 synthesize --bundle runs/quickstart/bundle --text "The red train is late."
    --ref voice.wav --ref-text "What the recording says." --out out.wav`
    """
    from gsv2.inference.encoder_folders import EncoderFolders
    from gsv2.inference.open_synthesizer import BundleOptions, check_engine
    from gsv2.inference.sampling import SamplingConfig
    from gsv2.inference.speech_file import SpeechFiles, VoiceRecordings, write_speech
    from gsv2.inference.streamed_speech import stream_speech

    voice = VoiceRecordings(ref, ref_text or [], weight or [])
    sampling = SamplingConfig(
        seed=seed,
        speaking_rate=rate,
        candidates=candidates or (1 if stream else SamplingConfig.candidates),
        prompt_fusion=fusion,  # type: ignore[arg-type]  # checked there, by name
    )
    files = SpeechFiles(out, times, mark, _checked_format(audio_format))
    options = BundleOptions(EncoderFolders(speech_encoder, text_encoder), check_engine(engine))
    speak = stream_speech if stream else write_speech
    speech = speak(bundle, _read_text(text, text_file), files, voice, sampling, options)
    for warning in speech.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{out}: {len(speech.wave) / speech.sample_rate:.2f} s", err=stream)


def _checked_format(name: str) -> EncodedFormat:
    """Return the name of a format that is known."""
    from gsv2.audio.encoding import FORMATS

    if name not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, but is {name}")
    return cast("EncodedFormat", name)


def _read_text(text: str | None, file: Path | None) -> str:
    """Return the one text that was given."""
    if (text is None) == (file is None):
        raise ValueError("give --text or --text-file, and not both")
    if text is not None:
        return text
    assert file is not None
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"--text-file {file} must be UTF-8 text: {error}") from error
