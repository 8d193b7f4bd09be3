"""`gsv2 fit`: one command from recordings to a voice that speaks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

CORPUS_HELP = "corpus, or recordings with transcripts, as `gsv2 corpus build` reads them"
OVERRIDES_HELP = "STAGE.section.key=value, e.g. gpt.optim.gpt.lr=1e-3"
HELD_OUT_HELP = "corpus to judge on; else CORPUS/../heldout, or a few clips of CORPUS"
LEAVE_OUT_HELP = "clips not to train on: doubtful.jsonl of `gsv2 corpus clean`"
LANGUAGE_HELP = "language (BCP 47) of recordings that name none"
SIZE_HELP = "networks: debug or small [default: small on a GPU, debug on a CPU]"
RECOGNIZER_HELP = "also judges the speech: as `gsv2 evaluate --recognizer`; slow"
PARALLEL_HELP = "GPT and VITS2 side by side [default: on a CPU of two cores or more]"


def fit(
    corpus: Annotated[Path, typer.Argument(help=CORPUS_HELP)],
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP)] = None,
    minutes: Annotated[float, typer.Option(help="wall time in all, over all calls")] = 60.0,
    out: Annotated[Path, typer.Option(help="folder of everything made")] = Path("runs/fit"),
    held_out: Annotated[Path | None, typer.Option(help=HELD_OUT_HELP)] = None,
    leave_out: Annotated[Path | None, typer.Option(help=LEAVE_OUT_HELP)] = None,
    language: Annotated[str | None, typer.Option(help=LANGUAGE_HELP)] = None,
    seed: Annotated[int, typer.Option(help="seed of all training")] = 0,
    size: Annotated[str | None, typer.Option(help=SIZE_HELP)] = None,
    recognizer: Annotated[list[str] | None, typer.Option(help=RECOGNIZER_HELP)] = None,
    parallel: Annotated[
        bool | None, typer.Option("--parallel/--no-parallel", help=PARALLEL_HELP)
    ] = None,
) -> None:
    """Train all parts on your recordings within a time, export a bundle and evaluate it.

    Run again after an interruption, the same command goes on with the time that is left.

    Example: `gsv2 fit recordings --minutes 60 --out runs/mine`
    """
    from gsv2.evaluation.judge_names import load_judges
    from gsv2.fit.pipeline import FitSettings, run_fit

    result = run_fit(
        FitSettings(
            corpus=corpus,
            out=out,
            minutes=minutes,
            held_out=held_out,
            leave_out=leave_out,
            language=language,
            seed=seed,
            size=size,
            overrides=tuple(overrides or ()),
            judges=partial(load_judges, recognizers=tuple(recognizer or ())),
            side_by_side=parallel,
        )
    )
    typer.echo(f"bundle: {result.bundle}")
    typer.echo(f"report: {result.report}")
