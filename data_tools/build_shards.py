"""Build a corpus of shards from recordings with transcripts.

Examples:
    python data_tools/build_shards.py --input recordings --format folder --out corpora/mine
    python data_tools/build_shards.py --input list.jsonl --format jsonl --out corpora/mine
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.journal import encoded_recordings
from gsv2.data.building.recordings import FORMATS, checked_recordings
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.corpus.manifest import Manifest

ItemT = TypeVar("ItemT")
Format = StrEnum("Format", list(FORMATS))


def main(
    source: Annotated[Path, typer.Option("--input", help="Folder or manifest to read.")],
    source_format: Annotated[
        Format, typer.Option("--format", help="folder: LANGUAGE/SPEAKER/NAME.wav + NAME.txt.")
    ],
    out: Annotated[Path, typer.Option(help="Corpus folder to write.")],
    language: Annotated[str | None, typer.Option(help="Of input that names none.")] = None,
    ignore_field: Annotated[
        list[str] | None, typer.Option(help="Field of a manifest that does not matter.")
    ] = None,
    name: Annotated[str, typer.Option(help="Shards are LANGUAGE/NAME-000000.tar.")] = "clips",
    shard_mb: Annotated[float, typer.Option(help="Size of a shard in MiB.")] = 512.0,
    block_clips: Annotated[int, typer.Option(help="Clips of one speaker that lie together.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the order of blocks.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that read audio.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a complete corpus at OUT.")] = False,
) -> None:
    """Write OUT, complete or not at all, and print what it holds and what was rejected.

    A build that was ended goes on with the same command: what it encoded stays in `.OUT.encoded`.

    Example: python data_tools/build_shards.py --input recordings --format folder --out corpora/mine
    """
    try:
        config = ShardConfig(name=name, shard_mb=shard_mb, block_clips=block_clips, seed=seed)
        given = {"ignore": ignore_field} if ignore_field else {}
        listing = partial(FORMATS[source_format.value], source, language=language, **given)
        journal = out.parent / f".{out.name}.encoded"
        encoded = encoded_recordings(checked_recordings(listing), journal, config, workers)
        manifest = write_corpus(
            _with_progress(encoded), out, config, overwrite=overwrite,
            arguments={"input": source.resolve().name}, text_rate=TextRateConfig(),
        )  # fmt: skip
        journal.unlink(missing_ok=True)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    _report(manifest, out)


def _with_progress(items: Iterable[ItemT]) -> Iterator[ItemT]:
    columns = (SpinnerColumn(), TextColumn("clips"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items)


def _report(manifest: Manifest, out: Path) -> None:
    print(
        f"{out}: {manifest.num_clips} clips, {manifest.hours:.3f} h, "
        f"{manifest.num_speakers} speakers, {len(manifest.shards)} shards"
    )
    for language, totals in manifest.languages.items():
        print(f"  {language}: {totals['clips']} clips, {totals['hours']:.3f} h")
    for reason, count in manifest.rejected.items():
        print(
            f"  {count} {reason}"
            if reason.startswith("left alone")
            else f"  rejected {count}: {reason}"
        )
    if manifest.rejected:
        print(f"  what was left out is named in {out / 'rejected.jsonl'}")


if __name__ == "__main__":
    typer.run(main)
