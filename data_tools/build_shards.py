"""Build a corpus of shards from recordings with transcripts.

Examples:
    python data_tools/build_shards.py --input recordings --out corpora/mine
    python data_tools/build_shards.py --input list.jsonl --format jsonl --out corpora/mine
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gsv2.data.building.build import BuildRun, build_corpus
from gsv2.data.building.checks import CHECKS, CheckConfig
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.readers.choice import READERS
from gsv2.data.building.readers.reader import AUTO, COLUMNS, ReadingOptions
from gsv2.data.corpus.manifest import Manifest

ItemT = TypeVar("ItemT")
Format = StrEnum("Format", [(name, name) for name in (AUTO, *(r.name for r in READERS))])


Source = Annotated[Path, typer.Option("--input", help="Recordings: a folder, list or table.")]
SourceFormat = Annotated[
    Format, typer.Option("--format", help="Layout of the recordings; `auto` looks at them.")
]
AudioDir = Annotated[
    Path | None, typer.Option(help="Folder of the audio that a list or table names.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="Column, tier or suffix: text=sentence, speaker=spk; NAME= for none."),
]
IgnoredFields = Annotated[
    list[str] | None, typer.Option(help="Field of a JSONL manifest that does not matter.")
]
Rejecting = Annotated[
    list[str] | None,
    typer.Option(help=f"Leave suspects out: {', '.join(CHECKS)}. Else they are named only."),
]
MinBandwidth = Annotated[float, typer.Option(help="Clips without sound above it are suspects.")]
KeptSilence = Annotated[
    float | None, typer.Option(help="Cut silence at both ends down to this; default: keep all.")
]
BlockClips = Annotated[int, typer.Option(help="Clips of one speaker that lie together.")]
Workers = Annotated[int, typer.Option(help="Processes that read and encode audio.", min=0)]


def main(
    source: Source,
    out: Annotated[Path, typer.Option(help="Corpus folder to write.")],
    source_format: SourceFormat = Format.auto,
    language: Annotated[str | None, typer.Option(help="Of input that names none.")] = None,
    speaker: Annotated[str, typer.Option(help="Of recordings that name none.")] = "",
    audio_dir: AudioDir = None,
    column: Columns = None,
    encoding: Annotated[str, typer.Option(help="Of lists, tables and transcripts.")] = "utf-8",
    ignore_field: IgnoredFields = None,
    reject: Rejecting = None,
    min_bandwidth_hz: MinBandwidth = CheckConfig.min_bandwidth_hz,
    keep_silence_sec: KeptSilence = None,
    name: Annotated[str, typer.Option(help="Shards are LANGUAGE/NAME-000000.tar.")] = "clips",
    shard_mb: Annotated[float, typer.Option(help="Size of a shard in MiB.")] = 512.0,
    block_clips: BlockClips = 16,
    seed: Annotated[int, typer.Option(help="Of the order of blocks.")] = 0,
    workers: Workers = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a complete corpus at OUT.")] = False,
) -> None:
    """Write OUT, complete or not at all, and print what it holds and what was rejected.

    A build that was ended goes on with the same command: what it encoded stays in `.OUT.encoded`.

    Example: python data_tools/build_shards.py --input recordings --out corpora/mine
    """
    try:
        reading = ReadingOptions(
            reader=source_format.value, language=language, speaker=speaker, audio_dir=audio_dir,
            encoding=encoding, columns=dict(_columns(column or ())),
            ignore=tuple(ignore_field or ()),
        )  # fmt: skip
        config = ShardConfig(
            name=name, shard_mb=shard_mb, block_clips=block_clips, seed=seed,
            keep_silence_sec=keep_silence_sec,
        )  # fmt: skip
        checks = CheckConfig(min_bandwidth_hz=min_bandwidth_hz, reject=tuple(reject or ()))
        run = BuildRun(workers=workers, overwrite=overwrite, say=_say, track=_with_progress)
        manifest = build_corpus(source, out, reading=reading, config=config, checks=checks, run=run)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    _report(manifest, out)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _columns(options: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Parse options of NAME=COLUMN."""
    for option in options:
        field, equals, column = option.partition("=")
        if not equals:
            raise ValueError(f"--column must be {', '.join(COLUMNS)} = COLUMN, but is {option!r}")
        yield field, column


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
    for reason, count in manifest.build["suspects"].items():
        print(f"  suspect {count}: {reason}; named in {out / 'suspects.jsonl'}")
    if trimmed_sec := manifest.build["trimmed_sec"]:
        print(f"  {trimmed_sec:.1f} s of silence were cut off")
    if manifest.rejected:
        print(f"  what was left out is named in {out / 'rejected.jsonl'}")


if __name__ == "__main__":
    typer.run(main)
