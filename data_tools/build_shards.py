"""Build a corpus of shards from recordings with transcripts.

Examples:
    python data_tools/build_shards.py --input recordings --out corpora/mine
    python data_tools/build_shards.py --input list.jsonl --format jsonl --out corpora/mine
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, get_args

import numpy as np
import typer

from gsv2.audio.speech_cut import CutConfig
from gsv2.commands.build_summary import summary_lines
from gsv2.data.building.build import build_corpus, encode_share
from gsv2.data.building.build_run import BuildRun, Engine
from gsv2.data.building.checks import CHECKS, CheckConfig
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.readers.choice import READERS
from gsv2.data.building.readers.reader import AUTO, COLUMNS, ReadingOptions
from gsv2.data.building.remote import RemoteOutput, is_remote
from gsv2.data.building.split import SplitBy, SplitConfig
from gsv2.data.building.tasks import parse_task
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.building.transcription import Transcription
from gsv2.data.corpus.manifest import Manifest
from gsv2.folder_lock import InUseError
from gsv2.heap import keep_freed_memory
from gsv2.training.telemetry.progress import counting_bar

Format = StrEnum("Format", [(name, name) for name in (AUTO, *(r.name for r in READERS))])


Source = Annotated[
    str, typer.Option("--input", help="Recordings: a folder, list or table, or its URL.")
]
Out = Annotated[str, typer.Option(help="Corpus folder to write, or its URL.")]
Work = Annotated[
    Path, typer.Option(help="Folder of this machine, for what a remote --out does not hold yet.")
]
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
MinSnr = Annotated[float, typer.Option(help="Clips with more noise are suspects.")]
MaxClipped = Annotated[float, typer.Option(help="Clips with a larger share at a ceiling are.")]
Validation = Annotated[float, typer.Option(help="Share of speakers for OUT/validation.")]
Test = Annotated[float, typer.Option(help="Share of speakers for OUT/test.")]
By = StrEnum("By", [(name, name) for name in get_args(SplitBy)])
Split = Annotated[By, typer.Option(help="What training and held-out clips do not share.")]
Transcribe = Annotated[
    str | None,
    typer.Option(help="Write down recordings without text: whisper:FOLDER or pocketsphinx."),
]
CutSec = Annotated[float, typer.Option(help="Longest clip that --transcribe cuts, in seconds.")]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="I/N: encode this share; the last to end writes OUT.")
]
BlockClips = Annotated[int, typer.Option(help="Clips of one speaker that lie together.")]
Engines = StrEnum("Engines", [(name, name) for name in get_args(Engine)])
EngineOption = Annotated[
    Engines, typer.Option("--engine", help="Processes of this machine, or of a Ray cluster.")
]
Workers = Annotated[
    int, typer.Option(help="Processes that read and encode audio; of Ray: 0 = all.", min=0)
]


def main(
    source: Source,
    out: Out,
    source_format: SourceFormat = Format.auto,
    language: Annotated[str | None, typer.Option(help="Of input that names none.")] = None,
    speaker: Annotated[str, typer.Option(help="Of recordings that name none.")] = "",
    audio_dir: AudioDir = None,
    column: Columns = None,
    encoding: Annotated[str, typer.Option(help="Of lists, tables and transcripts.")] = "utf-8",
    ignore_field: IgnoredFields = None,
    reject: Rejecting = None,
    min_bandwidth_hz: MinBandwidth = CheckConfig.min_bandwidth_hz,
    min_snr_db: MinSnr = CheckConfig.min_snr_db,
    max_clipped: MaxClipped = CheckConfig.max_clipped,
    validation_share: Validation = 0.0,
    test_share: Test = 0.0,
    split_by: Split = By.speaker,
    keep_silence_sec: KeptSilence = None,
    transcribe: Transcribe = None,
    cut_sec: CutSec = CutConfig.max_sec,
    name: Annotated[str, typer.Option(help="Shards are LANGUAGE/NAME-000000.tar.")] = "clips",
    shard_mb: Annotated[float, typer.Option(help="Size of a shard in MiB.")] = 512.0,
    block_clips: BlockClips = 16,
    seed: Annotated[int, typer.Option(help="Of the order of blocks.")] = 0,
    engine: EngineOption = Engines.processes,
    workers: Workers = 0,
    task: TaskOption = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a complete corpus at OUT.")] = False,
    work: Work = Path(),
    add: Annotated[bool, typer.Option(help="Add to the corpus at OUT what is new.")] = False,
) -> None:
    """Write OUT, complete or not at all, and print what it holds and what was rejected.

    A build that was ended goes on with the same command: what it encoded stays in `.OUT.encoded`.
    Jobs of a cluster share one build by `--task 1/N` to `--task N/N`.

    Example: python data_tools/build_shards.py --input recordings --out corpora/mine
    """
    given = SimpleNamespace(**locals())
    try:
        if is_remote(out):
            _build_remote(given, task)
        elif (manifest := _build(given, Path(out), task)) is not None:
            _report(manifest, Path(out))
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _build_remote(given: SimpleNamespace, task: str | None) -> None:
    """Build a corpus on this machine, and move it to where it is to lie."""
    if given.add:
        raise ValueError("--add adds to a corpus on this machine; copy it, or build a further one")
    remote = RemoteOutput(url=given.out, work=given.work, overwrite=given.overwrite)
    remote.check()
    if not remote.is_built:
        manifest = _build(given, remote.out, task)
        if manifest is None:
            return
        _report(manifest, remote.out)
    with counting_bar("moving bytes") as progress:
        remote.move(progress)
    print(f"{given.out}: all moved there")


def _build(given: SimpleNamespace, out: Path, task: str | None) -> Manifest | None:
    """Build the corpus, or encode a task's share of it; None where another task writes it."""
    keep_freed_memory(os.environ)
    with counting_bar("clips") as progress:
        settings = {
            "reading": _reading(given),
            "config": ShardConfig(
                name=given.name, shard_mb=given.shard_mb, block_clips=given.block_clips,
                seed=given.seed, keep_silence_sec=given.keep_silence_sec,
            ),
            "run": BuildRun(
                engine=given.engine.value, workers=given.workers, overwrite=given.overwrite,
                add=given.add, say=_say, progress=progress, report=_write_page,
            ),
        }  # fmt: skip
        source = given.source if is_remote(given.source) else Path(given.source)
        if task is not None and not encode_share(source, out, parse_task(task), **settings):
            _say(f"task {task} has encoded its share; the last of the tasks writes {out}")
            return None
        try:
            return build_corpus(source, out, intake=_intake(given), **settings)
        except InUseError as error:
            if task is None:
                raise
            _say(f"task {task} has encoded its share; {error}")
            return None


def _write_page(out: Path, sounds: Mapping[str, np.ndarray]) -> None:
    from gsv2.evaluation.corpus_page import write_corpus_page  # torch takes seconds

    print(f"page: {write_corpus_page(out, sounds)}")


def _reading(given: SimpleNamespace) -> ReadingOptions:
    return ReadingOptions(
        reader=given.source_format.value,
        language=given.language,
        speaker=given.speaker,
        audio_dir=given.audio_dir,
        encoding=given.encoding,
        columns=dict(_columns(given.column or ())),
        ignore=tuple(given.ignore_field or ()),
        transcription=_transcription(given.transcribe, given.cut_sec),
    )


def _intake(given: SimpleNamespace) -> IntakeConfig:
    return IntakeConfig(
        text_rate=TextRateConfig(),
        checks=CheckConfig(
            min_bandwidth_hz=given.min_bandwidth_hz,
            min_snr_db=given.min_snr_db,
            max_clipped=given.max_clipped,
            reject=tuple(given.reject or ()),
        ),
        split=SplitConfig(
            validation=given.validation_share, test=given.test_share, by=given.split_by.value
        ),
    )


def _transcription(name: str | None, longest_sec: float) -> Transcription | None:
    """Return who writes down recordings without a text, if somebody does."""
    if name is None:
        return None
    from gsv2.evaluation.judge_names import NamedRecognizer  # torch takes seconds

    return Transcription(source=NamedRecognizer(name), cut=CutConfig(max_sec=longest_sec))


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _columns(options: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Parse options of NAME=COLUMN."""
    for option in options:
        field, equals, column = option.partition("=")
        if not equals:
            raise ValueError(f"--column must be {', '.join(COLUMNS)} = COLUMN, but is {option!r}")
        yield field, column


def _report(manifest: Manifest, out: Path) -> None:
    for line in summary_lines(manifest, out):
        print(line)


if __name__ == "__main__":
    typer.run(main)
