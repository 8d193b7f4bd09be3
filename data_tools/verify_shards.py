"""Check a corpus: every byte of its tars against its indexes and corpus.json.

Examples:
    python data_tools/verify_shards.py --corpus corpora/mine --workers 8
    python data_tools/verify_shards.py --corpus corpora/mine --codes codes/mine --decode
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.process_pool import ShardPool
from gsv2.data.verify.codes_check import CodesMaker
from gsv2.data.verify.corpus import Verification, verify_corpus
from gsv2.models.component import load_component
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.telemetry.progress import counting_bar


def main(
    corpus: Annotated[Path, typer.Option(help="Corpus of audio, or of codes.")],
    codes: Annotated[
        Path | None, typer.Option(help="Corpus of codes of the same clips; checked too.")
    ] = None,
    quantizer: Annotated[
        Path | None,
        typer.Option(help="What made the codes: run, checkpoint, bundle or file; for old codes."),
    ] = None,
    decode: Annotated[bool, typer.Option(help="Decode every clip: finds NaN.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that read tars.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print what is wrong and exit with 1; exit with 0 only when nothing is.

    Example: python data_tools/verify_shards.py --corpus corpora/mine --workers 8
    """
    try:
        with counting_bar("shards") as progress:
            pool = ShardPool(workers=workers, progress=progress)
            results = [verify_corpus(corpus, decode=decode, pool=pool)]
            if codes is not None:
                results.append(
                    verify_corpus(
                        codes,
                        audio=corpus,
                        maker=quantizer and _codes_maker(quantizer),
                        decode=decode,
                        pool=pool,
                    )
                )
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False))
    else:
        for result in results:
            _show(result)
    if any(result.problems for result in results):
        raise typer.Exit(1)


def _codes_maker(quantizer: Path) -> CodesMaker:
    from gsv2.models.quantizer.model import QuantizerConfig  # seconds, which others need not wait

    component = load_component(find_component(quantizer, "quantizer"), "quantizer")
    codes = component.read_config(QuantizerConfig).codes
    code_format = CodeFormat(codes.num_codebooks, codes.codebook_size, codes.rate_hz)
    return CodesMaker(component.provenance.get("quantizer"), code_format)


def _show(result: Verification) -> None:
    if result.problems:
        table = Table("shard", "problem", "count", "first", title=f"Problems of {result.corpus}")
        for problem in result.problems:
            first = "\n".join(problem.examples)
            table.add_row(problem.shard or "corpus.json", problem.kind, str(problem.count), first)
        Console(width=None if Console().is_terminal else 160, markup=False).print(table)
    shards = len({problem.shard for problem in result.problems})
    found = f"{len(result.problems)} problems in {shards} shards" if result.problems else "all well"
    print(
        f"{result.corpus}: {result.num_shards} shards, {result.num_clips} clips, "
        f"{result.num_bytes / 1e9:.3f} GB: {found}"
    )
    for note in result.notes:
        print(f"not checked: {note}")


if __name__ == "__main__":
    typer.run(main)
