"""Page of a corpus: what it holds, how it sounds, who speaks, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsv2.data.building.heard_rejects import first_rejects
from gsv2.data.building.inputs import corpus_parts
from gsv2.data.building.offered import RejectedFile
from gsv2.data.building.staging import REPORT_NAME
from gsv2.data.building.statistics import WIDTHS, CorpusStatistics, read_statistics
from gsv2.data.corpus.manifest import Manifest, read_manifest
from gsv2.evaluation.odd_speakers import OddSpeaker, odd_speakers
from gsv2.evaluation.page_template import page_template
from gsv2.files import write_atomically

_TITLES = {
    "duration_sec": "Duration, s",
    "recorded_lufs": "Loudness before levelling, LUFS",
    "snr_db": "Signal-to-noise ratio, dB",
    "bandwidth_hz": "Bandwidth, Hz",
    "letters_per_sec": "Letters a second",
}
_MOST_BARS = 40
_LARGEST_SPEAKERS = 15
_RARE = 5
"""A character that stands less often in a language is rare."""
_MOST_RARE = 200


class Bar(NamedTuple):
    """A bar of a histogram."""

    start: float
    """Where it begins, in the unit of the figure."""
    clips: int
    share: float
    """Height against the highest bar."""


class Histogram(NamedTuple):
    """How a figure is spread over the clips."""

    title: str
    bars: list[Bar]
    median: float | None
    beyond: int
    """Clips above the last bar."""


class Rejects(NamedTuple):
    """Clips that were left out for one reason."""

    reason: str
    num_clips: int
    heard: list[tuple[RejectedFile, np.ndarray | None]]
    """The first ones, with [N] float32 at 32 kHz where it could be decoded."""


class Part(NamedTuple):
    """A corpus, or a part of a split one."""

    name: str
    manifest: Manifest
    statistics: CorpusStatistics
    histograms: list[Histogram]
    odd: list[OddSpeaker]
    rare: dict[str, str]
    """Language -> its rare characters."""


def write_corpus_page(corpus: Path, sounds: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write `report.html` into a corpus folder, or that of a split; return its path.

    Args:
        corpus: complete corpus that `gsv2 corpus build` wrote.
        sounds: sounds of rejected clips, by key.

    Raises:
        ValueError: there is no such corpus, or it has no statistics.
    """
    path = corpus / REPORT_NAME
    write_atomically(path, render_corpus_page(corpus, sounds or {}))
    return path


def render_corpus_page(corpus: Path, sounds: Mapping[str, np.ndarray]) -> str:
    """Return the page, which refers to nothing outside itself."""
    folders = corpus_parts(corpus)
    parts = [_part(name, folder) for name, folder in folders.items()]
    return page_template(Path(__file__).with_name("corpus_page.html.j2")).render(
        name=corpus.resolve().name,
        parts=parts,
        rejects=list(_rejects(parts[0].manifest, folders["train"] / "rejected.jsonl", sounds)),
        suspects=first_rejects(folders["train"] / "suspects.jsonl"),
        largest=_LARGEST_SPEAKERS,
    )


def _part(name: str, folder: Path) -> Part:
    statistics = read_statistics(folder)
    if statistics is None:
        raise ValueError(f"{folder} has no statistics.json; only `gsv2 corpus build` writes one")
    histograms = [_histogram(statistics, figure) for figure in WIDTHS]
    rare = {
        language: "".join(sorted(c for c, n in counts.items() if n < _RARE and c.strip()))
        for language, counts in sorted(statistics.characters.items())
    }
    return Part(
        name,
        read_manifest(folder),
        statistics,
        [histogram for histogram in histograms if histogram.bars],
        odd_speakers(statistics.speakers),
        {language: characters[:_MOST_RARE] for language, characters in rare.items()},
    )


def _histogram(statistics: CorpusStatistics, figure: str) -> Histogram:
    counts, width = statistics.histograms[figure], WIDTHS[figure]
    if not counts:
        return Histogram(_TITLES[figure], [], None, 0)
    first = min(counts)
    last = min(max(counts), first + _MOST_BARS - 1)
    highest = max(counts.values())
    bars = [
        Bar(number * width, counts[number], counts[number] / highest)
        for number in range(first, last + 1)
    ]
    beyond = sum(count for number, count in counts.items() if number > last)
    return Histogram(_TITLES[figure], bars, statistics.median(figure), beyond)


def _rejects(
    manifest: Manifest, rejected: Path, sounds: Mapping[str, np.ndarray]
) -> Iterator[Rejects]:
    first = first_rejects(rejected)
    for reason, count in sorted(manifest.rejected.items(), key=lambda item: -item[1]):
        heard = [(clip, sounds.get(clip.key)) for clip in first.get(reason, ())]
        yield Rejects(reason, count, heard)


def summary_rows(statistics: CorpusStatistics) -> Sequence[tuple[str, str]]:
    """Return the medians of a corpus, for a terminal."""
    found = [(name, statistics.median(name)) for name in WIDTHS]
    return [(_TITLES[name], f"{value:g}") for name, value in found if value is not None]
