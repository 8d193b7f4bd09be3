"""Build of a corpus from recordings in any layout that a reader knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.cutting import Cuts, cut_recordings
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.extension import built_with, extend_corpus
from gsv2.data.building.heard_rejects import rejected_sounds
from gsv2.data.building.inputs import (
    INPUTS_NAME,
    check_apart,
    corpus_parts,
    is_of_inputs,
    known_inputs,
    new_inputs,
    note_inputs,
)
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.journal import Encoded, Encoding, Journal, encoded_recordings
from gsv2.data.building.offered import Recording, RejectedFile
from gsv2.data.building.readers.choice import choose_reader
from gsv2.data.building.readers.reader import Reader, ReadingOptions
from gsv2.data.building.recordings import checked_recordings
from gsv2.data.building.remote import from_afar, is_remote, mirror_input
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.staging import check_place
from gsv2.data.building.tasks import Task, WorkFiles
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.building.written_shards import StaleJournalError
from gsv2.data.corpus.manifest import Manifest, read_manifest
from gsv2.folder_lock import FolderLock
from gsv2.storage.mirror import RemoteMirror

ItemT = TypeVar("ItemT")


def build_corpus(
    source: Path | str,
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
        source: file or folder of recordings, or its URL.
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
    is_there = _is_there(out, run)
    inputs = _chosen(source, reading, WorkFiles(out), run)
    if not is_there:
        try:
            _write(inputs, config, intake, run)
        except StaleJournalError as error:
            run.say(f"{out}: {error}; what is missing is read again")
            _write(inputs, config, intake, run)
    train = corpus_parts(out)["train"]
    if run.report is not None:
        listed = replace(inputs, known=frozenset()).recordings()
        run.report(out, rejected_sounds(train / "rejected.jsonl", listed))
    if not (train / INPUTS_NAME).is_file():
        note_inputs(train, inputs.work.inputs)
    inputs.work.remove()
    return read_manifest(train)


def encode_share(
    source: Path | str,
    out: Path,
    task: Task,
    *,
    reading: ReadingOptions | None = None,
    config: ShardConfig | None = None,
    run: BuildRun | None = None,
) -> bool:
    """Encode the share of a task; `build_corpus` then need not, with the same arguments.

    Args:
        source: file or folder of recordings, or its URL.
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
    if _is_there(out, run):
        return True
    inputs = _chosen(source, reading, WorkFiles(out, task), run)
    config = built_with(out)[0] if run.add else config
    with _encoded(inputs, config) as clips:
        for _ in clips:
            pass
    inputs.work.finish()
    return inputs.work.are_finished(task.count)


def _is_there(out: Path, run: BuildRun) -> bool:
    """Tell whether a build has made its corpus, and was ended before it had tidied up.

    Raises:
        CorpusError: something else is in the way.
    """
    if not run.overwrite and not run.add and is_of_inputs(out, WorkFiles(out).inputs):
        return True
    check_place(out, overwrite=run.overwrite or run.add)
    return False


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """Recordings of an input."""

    reader: Reader
    source: Path
    reading: ReadingOptions
    known: frozenset[bytes]
    """Marks of those that the corpus has."""
    work: WorkFiles
    run: BuildRun
    mirror: RemoteMirror | None = None
    """What the source is, if it stands for a remote one."""
    num_listed: list[int] = field(default_factory=list)
    """Number of recordings and files of the input, once it was looked through."""

    @property
    def name(self) -> str:
        """Name of the input without its place."""
        if self.mirror is not None:
            return PurePosixPath(self.mirror.url).name
        return self.source.resolve().name

    def counted(self, clips: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield clips, and tell how many there were, of how many."""
        for number, clip in enumerate(clips, start=1):
            yield clip
            if self.run.progress is not None:
                self.run.progress(number, self._total())

    def _total(self) -> int | None:
        """Return how many clips are to be encoded; None if that is not known."""
        if not self.num_listed or self.known or self.reading.transcription is not None:
            return None
        task = self.work.task
        return self.num_listed[0] if task is None else task.num_of(self.num_listed[0])

    def recordings(self, notes: Path | None = None) -> Iterator[Recording | RejectedFile]:
        """Yield what is new, and this task's; recordings without a text are cut.

        Args:
            notes: gets the marks of what is new.
        """

        def listing() -> Iterator[Recording | RejectedFile]:
            found = self.reader.recordings(self.source, self.reading)
            return found if self.mirror is None else from_afar(found, self.mirror)

        listed = checked_recordings(listing, self.num_listed)
        recordings = new_inputs(listed, self.known, notes)
        if self.work.task is not None:
            recordings = self.work.task.share(recordings)
        if self.reading.transcription is not None:
            cuts = Cuts(self.work.cuts, self.work.all_cuts)
            cut = self.reading.transcription.cut
            recordings = cut_recordings(recordings, cuts, cut, self.run.pool)
        return recordings


def _chosen(
    location: Path | str, reading: ReadingOptions, work: WorkFiles, run: BuildRun
) -> _Inputs:
    """Return the recordings of an input, and tell why they are read as they are."""
    reader, mirror, source = reading.reader, None, Path(location)
    if is_remote(location):
        mirror = mirror_input(str(location), work.mirror)
        source = mirror.source
    else:
        check_apart(source, work.out)
    if isinstance(reader, str):
        choice = choose_reader(source, reader)
        reader = choice.reader
        for line in choice.lines():
            run.say(f"{location}: {line}")
    return _Inputs(
        reader=reader,
        source=source,
        reading=reading,
        known=known_inputs(work.out) if run.add else frozenset(),
        work=work,
        run=run,
        mirror=mirror,
    )


def _write(inputs: _Inputs, config: ShardConfig, intake: IntakeConfig, run: BuildRun) -> None:
    """Encode what is not encoded yet, and write the corpus."""
    out = inputs.work.out
    if run.add:
        with _encoded(inputs, built_with(out)[0]) as clips:
            extend_corpus(clips, out, intake, inputs.work.inputs)
        return
    arguments = {"input": inputs.name, "format": inputs.reader.name}
    with _encoded(inputs, config) as clips:
        write_corpus(
            clips, out, config, intake=intake, overwrite=run.overwrite, arguments=arguments,
        )  # fmt: skip


@contextmanager
def _encoded(inputs: _Inputs, config: ShardConfig) -> Iterator[Iterator[Encoded]]:
    """Lend the clips of an input in their order; their audio can be read until the end."""
    work = inputs.work
    lock = FolderLock(
        file=work.lock,
        folder=f"build {work.journal}",
        advice="wait for it, stop it, or name another task",
    )
    others = work.all_journals if work.task is None else []
    encoding = Encoding(config=config, transcription=inputs.reading.transcription)
    with lock.held(), Journal(work.journal, others, with_freed=work.has_shards) as journal:
        recordings = inputs.recordings(work.inputs if work.task is None else None)
        yield inputs.counted(encoded_recordings(recordings, journal, encoding, inputs.run.pool))
