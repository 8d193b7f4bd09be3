"""Make the text vectors of a corpus with a frozen text encoder, or count the subwords of its texts.

Example: `python data_tools/extract_text.py --corpus runs/quickstart/corpus/train
--path models/bge-m3 --out runs/quickstart/texts/train`
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that may fail
    from gsv2.libraries import stop_unless_loadable

    stop_unless_loadable("extract_text")

from pathlib import Path
from typing import Annotated

import typer

from gsv2.inference.launched_work import launched_work
from gsv2.inference.text_extraction import count_subwords, extract_text_vectors
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.training.precision.policy import DTYPES


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus with texts.")],
    out: Annotated[Path, typer.Option(help="Folder of the sidecar corpus.")],
    path: Annotated[
        str | None, typer.Option(help="Folder or hub id of bge-m3; default: as published.")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="Folder of a text LM: only count subwords, for text_encoder=qwen2."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16; written is fp16.")] = "fp32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")] = "",
) -> None:
    """Write OUT, or leave it when it is complete and of this corpus and encoder.

    Several ranks share the shards: accelerate launch -m gsv2 corpus extract-text ...

    Example: python data_tools/extract_text.py --corpus CORPUS --path FOLDER --out TEXTS
    """
    try:
        if dtype not in DTYPES:
            raise ValueError(f"--dtype must be one of {', '.join(DTYPES)}, but is {dtype!r}")
        with launched_work("encoding", device) as work:
            if tokenizer is not None:
                manifest = count_subwords(corpus, tokenizer, out, work.shared)
            else:
                encoder = TextVectorsConfig(path=path)
                manifest = extract_text_vectors(
                    corpus, encoder, out, work.device, work.shared, dtype=DTYPES[dtype]
                )
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch knows no such device
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if work.is_main:
        dim = manifest.text_dim
        what = "numbers of subwords" if dim is None else f"vectors [S, {dim}]"
        typer.echo(f"{out}: {what} of {manifest.num_clips} texts, encoder {manifest.text_encoder}")


if __name__ == "__main__":
    typer.run(main)
