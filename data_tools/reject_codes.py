"""Write what a GPT says worst of each text of a corpus, as rejected codes for `stage: dpo`.

Example: `python data_tools/reject_codes.py --corpus runs/quickstart/corpus/train
--codes runs/quickstart/codes/train --gpt runs/quickstart/gpt --aligner runs/quickstart/aligner
--out runs/quickstart/rejected/train`
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that may fail
    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("reject_codes")

from pathlib import Path
from typing import Annotated

import typer

from gsv2.data.config import SourceConfig
from gsv2.inference.launched_work import launched_work
from gsv2.inference.rejection import RejectionLimits, SpeakerAndJudge, reject_codes


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with texts.")],
    codes: Annotated[Path, typer.Option(help="Its codes; aligned, for a pointer.")],
    gpt: Annotated[Path, typer.Option(help="Run, checkpoint, bundle or file of the GPT.")],
    aligner: Annotated[Path, typer.Option(help="Likewise of the aligner, which judges.")],
    out: Annotated[Path, typer.Option(help="Folder of the sidecar corpus.")],
    candidates: Annotated[int, typer.Option(help="Times that each clip is spoken.")] = 4,
    min_errors: Annotated[
        float, typer.Option(help="Share of the text read wrongly, beyond the recording's.")
    ] = 0.1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, which `model.rejected={CORPUS: OUT}` of `stage: dpo` takes.

    Several ranks share the shards: accelerate launch -m gsv2 corpus reject-codes ...

    Example: python data_tools/reject_codes.py --corpus CORPUS --codes CODES --gpt RUN
    --aligner RUN --out REJECTED
    """
    source = SourceConfig(path=str(corpus), codes=str(codes))
    parts = SpeakerAndJudge(gpt, aligner)
    limits = RejectionLimits(candidates=candidates, min_errors=min_errors)
    try:
        with launched_work("speaking", device) as work:
            manifest = reject_codes(source, parts, out, work.device, work.shared, limits)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if work.is_main:
        typer.echo(f"{out}: rejected codes of {manifest.num_clips} clips")


if __name__ == "__main__":
    typer.run(main)
