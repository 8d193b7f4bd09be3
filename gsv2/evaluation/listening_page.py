"""Page of clips of a corpus, chosen at random, with players and texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import BadClip, MappedReader, read_clip
from gsv2.evaluation.page import choose_by_turns
from gsv2.evaluation.page_template import page_template
from gsv2.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class ListeningConfig:
    """Which clips are heard."""

    clips: int = 24
    """Number of clips, of all languages in turn."""
    language: str | None = None
    """Language of the clips; None: any."""
    speaker: str | None = None
    """Speaker of the clips; None: anybody."""
    seed: int = 0
    """Seed of the choice."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.clips < 1:
            raise ValueError(f"clips must be 1 or more, but are {self.clips}")


def write_listening_page(corpus: str, out: Path, config: ListeningConfig) -> int:
    """Write a page that refers to nothing outside itself.

    Args:
        corpus: folder of a corpus with audio.
        out: file to write.
        config: which clips.

    Returns:
        Number of clips on the page.

    Raises:
        ValueError: there is no such corpus, or no such clip in it.
    """
    index = CorpusIndex.open(SourceConfig(path=corpus))
    reader = MappedReader(index, ["audio"])
    heard, unread = [], []
    for row in _choose(index, config):
        clip = read_clip(reader, row)
        if isinstance(clip, BadClip):
            unread.append(clip)
        else:
            heard.append(clip)
    page = page_template(Path(__file__).with_name("listening_page.html.j2")).render(
        corpus=Path(corpus).resolve().name, total=index.num_clips, heard=heard, unread=unread
    )
    write_atomically(out, page)
    return len(heard)


def _choose(index: CorpusIndex, config: ListeningConfig) -> list[int]:
    """Return rows in the order of the corpus."""
    rows = np.fromiter(_matching(index, config), dtype=np.int64)
    if not len(rows):
        asked = {"language": config.language, "speaker": config.speaker}
        wanted = " and ".join(f"{name} {value}" for name, value in asked.items() if value)
        raise ValueError(f"the corpus has no clip{f' of {wanted}' if wanted else ''}")
    shuffled = np.random.default_rng(config.seed).permutation(rows)
    languages = [index.strings("language")[int(row)].as_py() for row in shuffled]
    return sorted(int(shuffled[place]) for place in choose_by_turns(languages, config.clips))


def _matching(index: CorpusIndex, config: ListeningConfig) -> Iterator[int]:
    for shard in index.shards:
        columns = index.read(shard, ["language", "speaker"])
        of = zip(columns["language"].to_pylist(), columns["speaker"].to_pylist(), strict=True)
        for row, (language, speaker) in enumerate(of, start=shard.start):
            right = config.language in (None, language) and config.speaker in (None, speaker)
            if right:
                yield row
