"""Reader of a layout of recordings: the Protocol behind which each layout has one small file.

docs/add-a-reader.md shows one in 30 lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile
from gsv2.data.building.readers.glance import Glance
from gsv2.data.building.transcription import Transcription
from gsv2.data.corpus.manifest import CorpusError
from gsv2.text.language import LanguageError, canonical_language

AUTO = "auto"
"""Value of `--format` by which the input is looked at."""
COLUMNS = (
    "audio", "text", "language", "speaker", "start", "duration", "end", "key", "source", "licence"
)  # fmt: skip
"""What can be known of a recording; keys of `ReadingOptions.columns`."""

Listed = Iterator[Recording | RejectedFile]
"""What a reader yields: every recording of the input, and what of it is left out, by name."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """What the user says of recordings: their layout, and what that leaves open."""

    reader: str | Reader = AUTO
    """Name of a reader, `auto`, or a reader of your own."""
    language: str | None = None
    """Language (BCP 47) of recordings that name none."""
    speaker: str = ""
    """Speaker of recordings that name none."""
    audio_dir: Path | None = None
    """Folder of the audio that a list names, where it was moved; None = as the list says."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Any of `COLUMNS` -> its column, tier or suffix in the input, where there are several."""
    ignore: Collection[str] = ()
    """Fields of a JSON-lines manifest that do not matter."""
    encoding: str = "utf-8"
    """Encoding of lists, tables and transcripts."""
    transcription: Transcription | None = None
    """Cuts recordings that have no transcript, and writes them down; None: they are left out."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"column must be one of {', '.join(COLUMNS)}, but is {name!r}")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"encoding {self.encoding!r} is not known") from error
        if self.language is not None:
            canonical_language(self.language)


class Reader(Protocol):
    """One layout of recordings. Its instances hold nothing."""

    @property
    def name(self) -> str:
        """Value of `--format`."""

    @property
    def layout(self) -> str:
        """The layout in one line, for lists of all."""

    @property
    def precedes(self) -> Collection[str]:
        """Names of more general readers, which match wherever this one does."""

    def recognise(self, look: Glance) -> str | None:
        """Return by what an input is known to be of this layout; None if it is of another."""

    def recordings(self, source: Path, options: ReadingOptions) -> Listed:
        """Yield what the input holds, row by row: each recording, and by name what is left out.

        It is called twice, and must yield the same again; it opens no audio.

        Raises:
            CorpusError: the input as a whole is not of this layout.
        """


def language_of(label: str, options: ReadingOptions) -> str:
    """Return the canonical language of a recording.

    Args:
        label: what the input says; "" = nothing.

    Raises:
        LeftOutError: it is no tag, or nothing is said at all.
    """
    given = label.strip() or options.language or ""
    if not given:
        raise LeftOutError("language is missing", "add it or use --language")
    try:
        return canonical_language(given)
    except LanguageError as error:
        raise LeftOutError("language is no BCP 47 tag", str(error)) from error


def language_of_all(layout: str, options: ReadingOptions, usual: str | None = None) -> str:
    """Return the language of an input whose layout names none.

    Args:
        layout: name of the reader.
        usual: language of the corpus that the layout is known from.

    Raises:
        CorpusError: nobody says it.
    """
    given = options.language or usual
    if not given:
        raise CorpusError(f"{layout} recordings name no language; name it with --language")
    return canonical_language(given)
