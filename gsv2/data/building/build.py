"""Build of a corpus from recordings in any layout that a reader knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.encode import ShardConfig
from gsv2.data.building.journal import encoded_recordings
from gsv2.data.building.readers.choice import AUTO, Choice, choose_reader
from gsv2.data.building.readers.reader import Reader, ReadingOptions
from gsv2.data.building.recordings import checked_recordings
from gsv2.data.building.shards import write_corpus
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.data.corpus.manifest import Manifest

logger = logging.getLogger(__name__)

Track = Callable[[Iterable[Any]], Iterator[Any]]


def build_corpus(
    source: Path,
    out: Path,
    *,
    layout: str | Reader = AUTO,
    reading: ReadingOptions | None = None,
    config: ShardConfig | None = None,
    checks: CheckConfig | None = None,
    workers: int = 0,
    overwrite: bool = False,
    say: Callable[[str], object] = logger.info,
    track: Track = iter,
) -> Manifest:
    """Write a corpus of the recordings of an input, complete or not at all.

    A build that was ended goes on: what it encoded stays in `.NAME.encoded` beside `out`.

    Args:
        source: file or folder of recordings.
        out: corpus folder.
        layout: name of a reader, `auto`, or a reader of your own.
        reading: what the layout leaves open.
        config: how the corpus is cut.
        checks: which clips are suspects, and which of them are left out.
        workers: processes that read audio; 0 reads in this one.
        overwrite: replace a complete corpus at `out`.
        say: gets the lines that tell how the input is read, before it is.
        track: passes the clips on, to show progress.

    Raises:
        CorpusError: the input cannot be read as a whole, `out` is in the way, or no clip was
            usable.
    """
    reading, config = reading or ReadingOptions(), config or ShardConfig()
    choice = choose_reader(source, layout) if isinstance(layout, str) else Choice(layout, "")
    for line in choice.lines() if isinstance(layout, str) else ():
        say(f"{source}: {line}")
    listing = partial(choice.reader.recordings, source, reading)
    journal = out.parent / f".{out.name}.encoded"
    clips = encoded_recordings(checked_recordings(listing), journal, config, workers)
    manifest = write_corpus(
        track(clips), out, config,
        overwrite=overwrite,
        arguments={"input": source.resolve().name, "format": choice.reader.name},
        text_rate=TextRateConfig(),
        checks=checks or CheckConfig(),
    )  # fmt: skip
    journal.unlink(missing_ok=True)
    return manifest
