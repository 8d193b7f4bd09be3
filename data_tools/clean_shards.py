"""List the clips of a corpus that trained models doubt: wrong texts, voices under a wrong name.

Example: `python data_tools/clean_shards.py --corpus runs/quickstart/corpus/train
--codes runs/quickstart/codes/train --gpt runs/quickstart/gpt --aligner runs/quickstart/aligner
--out runs/quickstart/clean`
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that may fail
    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("clean_shards")

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from gsv2.data.config import SourceConfig
from gsv2.evaluation.cleaning.clean import LIST_NAME, CleaningModels, CleaningResult, clean_corpus
from gsv2.evaluation.judge_names import DEFAULT_ENCODERS, load_judges
from gsv2.evaluation.judges import SpeakerEncoder
from gsv2.inference.launched_work import launched_work

_SHOWN = 20
"""Clips of each kind that the table shows."""
_TEXT_WIDTH = 40


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with audio.")],
    out: Annotated[Path, typer.Option(help="Folder for the list and the figures of all clips.")],
    gpt: Annotated[
        Path | None, typer.Option(help="Run or file of a trained GPT, which judges the texts.")
    ] = None,
    codes: Annotated[Path | None, typer.Option(help="Codes of the corpus, for the GPT.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Text vectors of the corpus, for a GPT that reads them.")
    ] = None,
    aligner: Annotated[
        Path | None, typer.Option(help="Aligner of a GPT that reads by a pointer.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Judges voices: resemblyzer, wavlm:FOLDER or none.")
    ] = DEFAULT_ENCODERS[0],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT/doubtful.jsonl; `data.sources.0.leave_out=OUT/doubtful.jsonl` leaves them out.

    Several ranks share the shards (accelerate launch -m gsv2 corpus clean ...), and a call that
    was ended goes on.

    Example: python data_tools/clean_shards.py --corpus CORPUS --codes CODES --gpt RUN --out OUT
    """
    try:
        with launched_work("judging", device) as work:
            source = SourceConfig(
                path=str(corpus), codes=codes and str(codes), texts=texts and str(texts)
            )
            judge = _encoder(encoder, work.device)
            models = CleaningModels(gpt=gpt, aligner=aligner, encoder=judge)
            result = clean_corpus(source, models, out, work.device, work.shared)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if work.is_main:
        _report(result, out)


def _encoder(name: str, device: torch.device) -> SpeakerEncoder | None:
    if name == "none":
        return None
    judges = load_judges((), (name,), device=device)
    if not judges.encoders:
        raise ValueError("; ".join(judges.notes))
    return judges.encoders[0]


def _report(result: CleaningResult, out: Path) -> None:
    for note in result.notes:
        print(note)
    for reason in dict.fromkeys(clip.reason for clip in result.clips):
        clips = [clip for clip in result.clips if clip.reason == reason]
        table = Table(
            "clip", "measured", "limit", "speaker", "text", "differs from",
            title=f"{reason}: {len(clips)} clips",
        )  # fmt: skip
        for clip in clips[:_SHOWN]:
            text = clip.text if len(clip.text) <= _TEXT_WIDTH else clip.text[:_TEXT_WIDTH] + "..."
            values = (f"{clip.measured:.3f}", f"{clip.threshold:.3f}")
            table.add_row(clip.key, *values, clip.speaker, text, clip.other)
        Console(width=None if Console().is_terminal else 160, markup=False).print(table)
    print(f"{out / LIST_NAME}: {len(result.clips)} doubtful; to train without them:")
    print(f"  data.sources.0.leave_out={out / LIST_NAME}")


if __name__ == "__main__":
    typer.run(main)
