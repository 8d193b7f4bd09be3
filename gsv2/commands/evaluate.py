"""`gsv2 evaluate`: what a stranger understands of a bundle's speech."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RECOGNIZER_HELP = (
    "whisper:FOLDER, pocketsphinx, pocketsphinx:vocabulary or pocketsphinx:GRAMMAR.jsgf; "
    "repeat for several; none = no recogniser [default: pocketsphinx]"
)
ENCODER_HELP = (
    "resemblyzer or wavlm:FOLDER; repeat for several; none = no speaker encoder "
    "[default: resemblyzer]"
)

_KEEP_HELP = "write the figures into the bundle, for gsv2 inspect and gsv2 push"
CANDIDATES_HELP = "speak each sentence so many times, keep what the aligner reads best"


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="bundle folder")],
    sentences: Annotated[
        Path,
        typer.Option(
            "--list", help="utt|prompt text|prompt wav|text[|recording[|language[|speaker]]]"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of sounds, figures and page")],
    language: Annotated[
        str, typer.Option(help="BCP 47 tag of the lines that name none, e.g. en")
    ] = "und",
    recognizer: Annotated[list[str] | None, typer.Option(help=RECOGNIZER_HELP)] = None,
    speaker_encoder: Annotated[list[str] | None, typer.Option(help=ENCODER_HELP)] = None,
    first: Annotated[
        int | None, typer.Option(help="only so many sentences from the top", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same speech")] = 0,
    candidates: Annotated[
        int | None, typer.Option(help=f"{CANDIDATES_HELP} [default: 8]", min=1)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help=_KEEP_HELP)] = False,
) -> None:
    """Speak the sentences of a list and judge them, beside the recordings.

    Writes `OUT/evaluation.json`, a page `OUT/index.html` and the sounds; called again, it goes
    on. On several ranks: `accelerate launch -m gsv2 evaluate ...`.

    Example: `gsv2 evaluate runs/quickstart/bundle --list sentences.lst --language en
    --out runs/quickstart/evaluation`
    """
    from gsv2.commands.evaluating import evaluate_list
    from gsv2.evaluation.judge_names import DEFAULT_ENCODERS, DEFAULT_RECOGNIZERS
    from gsv2.evaluation.sentence_list import read_sentence_list
    from gsv2.inference.sampling import SamplingConfig

    for line in evaluate_list(
        bundle,
        read_sentence_list(sentences, language)[:first],
        out,
        recognizer or DEFAULT_RECOGNIZERS,
        speaker_encoder or DEFAULT_ENCODERS,
        SamplingConfig(seed=seed, candidates=candidates or SamplingConfig.candidates),
        keep=keep,
    ):
        typer.echo(line)
