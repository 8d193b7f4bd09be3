"""Statistics of a corpus as it is written: histograms, and totals of each speaker.

They lie in `statistics.json` beside corpus.json, so that a page can be made of them later without
reading audio, and clips that are added later are counted on.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gsv2.data.building.encode import EncodedClip
from gsv2.data.building.text_rate import count_letters
from gsv2.files import write_atomically

STATISTICS_NAME = "statistics.json"

WIDTHS = {
    "duration_sec": 0.5,
    "recorded_lufs": 1.0,
    "snr_db": 2.0,
    "bandwidth_hz": 500.0,
    "letters_per_sec": 1.0,
}
"""Figure of a clip -> width of the bars of its histogram. Loudness is that before levelling."""


@dataclass
class SpeakerTotals:
    """Sums over the clips of a speaker."""

    clips: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    """Figure -> sum over the clips that have it."""
    counts: dict[str, int] = field(default_factory=dict)
    """Figure -> clips that have it."""

    def mean(self, figure: str) -> float | None:
        """Return the mean of a figure; None where no clip has it."""
        count = self.counts.get(figure, 0)
        return self.sums[figure] / count if count else None


@dataclass
class CorpusStatistics:
    """Statistics of the clips of a corpus; memory grows with its speakers alone."""

    histograms: dict[str, Counter[int]] = field(
        default_factory=lambda: {name: Counter() for name in WIDTHS}
    )
    """Figure -> number of the bar -> clips; see `WIDTHS`."""
    characters: dict[str, Counter[str]] = field(default_factory=dict)
    """Language -> character -> how often it stands in the texts."""
    speakers: dict[str, SpeakerTotals] = field(default_factory=dict)
    """Label -> totals; "" holds the clips without one."""

    def add(self, row: Mapping[str, Any], text: str, measured: Mapping[str, float | None]) -> None:
        """Count a clip.

        Args:
            row: its row of the index.
            text: what is said.
            measured: see `measured_of`.
        """
        seconds = row["duration_sec"]
        figures = {
            "duration_sec": seconds,
            "letters_per_sec": count_letters(text) / seconds,
            **measured,
        }
        speaker = self.speakers.setdefault(row["speaker"], SpeakerTotals())
        speaker.clips += 1
        speaker.seconds += seconds
        for name, value in figures.items():
            if value is not None and math.isfinite(value):
                self.histograms[name][math.floor(value / WIDTHS[name])] += 1
                speaker.sums[name] = speaker.sums.get(name, 0.0) + value
                speaker.counts[name] = speaker.counts.get(name, 0) + 1
        self.characters.setdefault(row["language"], Counter()).update(text)

    def median(self, figure: str) -> float | None:
        """Return the middle of the bar that the median clip is in; None where no clip has it."""
        bars = sorted(self.histograms[figure].items())
        half, passed = sum(count for _, count in bars) / 2, 0
        for bar, count in bars:
            passed += count
            if passed >= half:
                return (bar + 0.5) * WIDTHS[figure]
        return None

    def write(self, corpus: Path) -> None:
        """Write them into a corpus."""
        values = {
            "histograms": self.histograms,
            "characters": {
                language: dict(counts.most_common()) for language, counts in self.characters.items()
            },
            "speakers": {label: asdict(totals) for label, totals in self.speakers.items()},
        }
        write_atomically(corpus / STATISTICS_NAME, json.dumps(values, ensure_ascii=False) + "\n")


def measured_of(clip: EncodedClip) -> dict[str, float | None]:
    """Return what was measured in a clip, by the names of `WIDTHS`."""
    return {name: getattr(clip, name) for name in ("recorded_lufs", "snr_db", "bandwidth_hz")}


def read_statistics(corpus: Path) -> CorpusStatistics | None:
    """Return the statistics of a corpus; None where it has none, as those of others."""
    path = corpus / STATISTICS_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        found = CorpusStatistics(
            characters={name: Counter(counts) for name, counts in values["characters"].items()},
            speakers={name: SpeakerTotals(**of) for name, of in values["speakers"].items()},
        )
        for name, bars in values["histograms"].items():
            found.histograms[name] = Counter({int(bar): count for bar, count in bars.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no statistics of a corpus: {error!r}") from error
    return found
