"""Build of a corpus from recordings in any layout that a reader knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.cutting import Cuts, cut_recordings
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.extension import built_with, extend_corpus
from gsv2.data.building.inputs import known_inputs, new_inputs, note_inputs
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.journal import Encoded, Encoding, Journal, encoded_recordings
from gsv2.data.building.readers.choice import Choice, choose_reader
from gsv2.data.building.readers.reader import Reader, ReadingOptions
from gsv2.data.building.recordings import checked_recordings
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.staging import check_place
from gsv2.data.building.tasks import Task, WorkFiles
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.corpus.manifest import Manifest
from gsv2.folder_lock import FolderLock

logger = logging.getLogger(__name__)

Track = Callable[[Iterable[Any]], Iterator[Any]]


@dataclass(frozen=True, kw_only=True)
class BuildRun:
    """How a build runs and what it shows; the corpus does not depend on it."""

    workers: int = 0
    """Number of processes that read audio; 0 reads in this one."""
    overwrite: bool = False
    """Replace a complete corpus."""
    add: bool = False
    """Add to a complete corpus what the input has that it was not offered yet."""
    say: Callable[[str], object] = logger.info
    """Gets the lines that tell how the input is read, before it is."""
    track: Track = iter
    """Passes the clips on, to show progress."""


def build_corpus(
    source: Path,
    out: Path,
    *,
    reading: ReadingOptions | None = None,
    config: ShardConfig | None = None,
    intake: IntakeConfig | None = None,
    run: BuildRun | None = None,
) -> Manifest:
    """Write a corpus of the recordings of an input, complete or not at all.

    A build that was ended goes on: what it encoded stays in `.NAME.encoded` beside `out`.

    Args:
        source: file or folder of recordings.
        out: corpus folder, or where clips are held out the folder of the parts.
        reading: layout of the recordings, and what it leaves open.
        config: how the corpus is cut; one that is added to stays as it was cut.
        intake: what is looked at in every clip, and which are held out; None: all checks.

    Raises:
        CorpusError: the input cannot be read as a whole, `out` is in the way, or no clip was
            usable.
    """
    reading, config, run = reading or ReadingOptions(), config or ShardConfig(), run or BuildRun()
    intake = intake or IntakeConfig(text_rate=TextRateConfig(), checks=CheckConfig())
    check_place(out, overwrite=run.overwrite or run.add)
    choice, work = _choose(source, reading, run), WorkFiles(out)
    clips = run.track(_encoded(choice.reader, source, reading, config, work, run))
    if run.add:
        manifest = extend_corpus(clips, out, intake)
    else:
        arguments = {"input": source.resolve().name, "format": choice.reader.name}
        manifest = write_corpus(
            clips, out, config, intake=intake, overwrite=run.overwrite, arguments=arguments
        )
    note_inputs(out, work.inputs)
    work.remove()
    return manifest


def encode_share(
    source: Path,
    out: Path,
    task: Task,
    *,
    reading: ReadingOptions | None = None,
    config: ShardConfig | None = None,
    run: BuildRun | None = None,
) -> bool:
    """Encode the share of a task; `build_corpus` then need not, with the same arguments.

    Args:
        source: file or folder of recordings.
        out: corpus folder to be; the clips wait beside it.
        task: which share.
        reading: layout of the recordings, and what it leaves open.
        config: how the corpus is cut.

    Returns:
        Whether all tasks have encoded theirs.

    Raises:
        CorpusError: the input cannot be read as a whole, or `out` is in the way.
        InUseError: another process works at this task.
    """
    reading, config, run = reading or ReadingOptions(), config or ShardConfig(), run or BuildRun()
    check_place(out, overwrite=run.overwrite or run.add)
    choice, work = _choose(source, reading, run), WorkFiles(out, task)
    for _ in run.track(_encoded(choice.reader, source, reading, config, work, run)):
        pass
    work.finish()
    return work.are_finished(task.count)


def _choose(source: Path, reading: ReadingOptions, run: BuildRun) -> Choice:
    """Return the reader of an input, and tell why it is this one."""
    if not isinstance(reading.reader, str):
        return Choice(reading.reader, "")
    choice = choose_reader(source, reading.reader)
    for line in choice.lines():
        run.say(f"{source}: {line}")
    return choice


def _encoded(
    reader: Reader,
    source: Path,
    reading: ReadingOptions,
    config: ShardConfig,
    work: WorkFiles,
    run: BuildRun,
) -> Iterator[Encoded]:
    """Yield the clips of an input, or of a task's share of it, in their order."""
    lock = FolderLock(
        file=work.lock,
        folder=f"build {work.journal}",
        advice="wait for it, stop it, or name another task",
    )
    known: frozenset[bytes] = frozenset()
    if run.add:
        known, config = known_inputs(work.out), built_with(work.out)[0]
    others = work.all_journals if work.task is None else []
    with lock.held(), Journal(work.journal, others) as journal:
        listed = checked_recordings(partial(reader.recordings, source, reading))
        recordings = new_inputs(listed, known, work.inputs if work.task is None else None)
        if work.task is not None:
            recordings = work.task.share(recordings)
        if reading.transcription is not None:
            cuts = Cuts(work.cuts, work.all_cuts)
            recordings = cut_recordings(recordings, cuts, reading.transcription.cut, run.workers)
        encoding = Encoding(config=config, transcription=reading.transcription)
        yield from encoded_recordings(recordings, journal, encoding, run.workers)
