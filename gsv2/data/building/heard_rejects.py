"""Sounds of some rejected clips, for ears that judge whether it was right to reject them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsv2.data.building.offered import LeftOutError, Recording, RejectedFile
from gsv2.data.building.recordings import recorded_wave
from gsv2.data.corpus.format import SAMPLE_RATE

HEARD_REJECTS = 10
"""Clips of each reason that are heard..."""
MAX_HEARD_SEC = 6.0
"""...and how much of each."""
_WHOLE_SEC = 60.0
"""Longest recording that is decoded whole."""


def first_rejects(rejected: Path) -> dict[str, list[RejectedFile]]:
    """Return the first clips of each reason that `rejected.jsonl` has."""
    found: dict[str, list[RejectedFile]] = {}
    if not rejected.is_file():
        return found
    known = RejectedFile.__dataclass_fields__.keys()
    with rejected.open("rb") as lines:
        for line in lines:
            fields = {name: value for name, value in json.loads(line).items() if name in known}
            of_reason = found.setdefault(fields["reason"], [])
            if len(of_reason) < HEARD_REJECTS:
                of_reason.append(RejectedFile(**fields))
    return found


def rejected_sounds(
    rejected: Path, recordings: Iterable[Recording | RejectedFile]
) -> dict[str, np.ndarray]:
    """Return the beginning of the first rejected clips of each reason.

    Args:
        rejected: `rejected.jsonl`.
        recordings: recordings of the build again; read until all are found.

    Returns:
        Key -> [N] float32 at `SAMPLE_RATE`; those that cannot be decoded are not there.
    """
    wanted = Counter(clip.key for clips in first_rejects(rejected).values() for clip in clips)
    del wanted[""]
    sounds: dict[str, np.ndarray] = {}
    for recording in recordings if wanted else ():
        if isinstance(recording, Recording) and recording.key in wanted:
            del wanted[recording.key]
            try:
                wave = _beginning(recording)
            except LeftOutError:  # that is why it was rejected
                continue
            sounds[recording.key] = wave[: round(MAX_HEARD_SEC * SAMPLE_RATE)].copy()
        if not wanted:
            break
    return sounds


def _beginning(recording: Recording) -> np.ndarray:
    """Return a recording, or the beginning of one that is long, [N] float32.

    Raises:
        LeftOutError: it cannot be decoded.
    """
    try:
        return recorded_wave(recording, _WHOLE_SEC)
    except LeftOutError:
        start = recording.start_sec or 0.0
        return recorded_wave(replace(recording, start_sec=start, duration_sec=MAX_HEARD_SEC))
