"""Build of a corpus from recordings in any layout that a reader knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.journal import encoded_recordings
from gsv2.data.building.readers.choice import Choice, choose_reader
from gsv2.data.building.readers.reader import ReadingOptions
from gsv2.data.building.recordings import checked_recordings
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.corpus.manifest import Manifest

logger = logging.getLogger(__name__)

Track = Callable[[Iterable[Any]], Iterator[Any]]


@dataclass(frozen=True, kw_only=True)
class BuildRun:
    """How a build runs and what it shows; the corpus does not depend on it."""

    workers: int = 0
    """Number of processes that read audio; 0 reads in this one."""
    overwrite: bool = False
    """Replace a complete corpus."""
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
    checks: CheckConfig | None = None,
    run: BuildRun | None = None,
) -> Manifest:
    """Write a corpus of the recordings of an input, complete or not at all.

    A build that was ended goes on: what it encoded stays in `.NAME.encoded` beside `out`.

    Args:
        source: file or folder of recordings.
        out: corpus folder.
        reading: layout of the recordings, and what it leaves open.
        config: how the corpus is cut.
        checks: which clips are suspects, and which of them are left out.

    Raises:
        CorpusError: the input cannot be read as a whole, `out` is in the way, or no clip was
            usable.
    """
    reading, config, run = reading or ReadingOptions(), config or ShardConfig(), run or BuildRun()
    chosen = reading.reader
    choice = choose_reader(source, chosen) if isinstance(chosen, str) else Choice(chosen, "")
    for line in choice.lines() if isinstance(chosen, str) else ():
        run.say(f"{source}: {line}")
    listing = partial(choice.reader.recordings, source, reading)
    journal = out.parent / f".{out.name}.encoded"
    clips = encoded_recordings(checked_recordings(listing), journal, config, run.workers)
    manifest = write_corpus(
        run.track(clips),
        out,
        config,
        intake=IntakeConfig(text_rate=TextRateConfig(), checks=checks or CheckConfig()),
        overwrite=run.overwrite,
        arguments={"input": source.resolve().name, "format": choice.reader.name},
    )
    journal.unlink(missing_ok=True)
    return manifest
