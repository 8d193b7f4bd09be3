"""Memory of a build does not grow with its audio, and by little with its clips."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from tests.support.processes import environment

RATE = 16_000
SECONDS = 0.2
MAX_BYTES_A_CLIP = 2_000
BUILD = """
import resource, sys
from pathlib import Path
from gsv2.data.building.build import build_corpus
from gsv2.data.building.encode import ShardConfig
config = ShardConfig(shard_mb=2.0)  # the rows of a shard are held until it is whole
manifest = build_corpus(Path(sys.argv[1]), Path(sys.argv[2]), config=config)
print(manifest.num_clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def segments(folder: Path, count: int) -> Path:
    """Write a list of so many segments of one recording of a minute, in their order; return it."""
    folder.mkdir()
    wave = 0.1 * np.random.default_rng(0).standard_normal(60 * RATE)
    save_wave(folder / "long.wav", wave, RATE)
    path = folder / "list.jsonl"
    with path.open("w") as file:
        for number in range(count):
            row = {
                "audio": "long.wav", "text": f"hi {number}", "language": "en",
                "speaker": f"s{number % 50}", "duration": SECONDS,
                "offset": round(number * (60 - SECONDS) / count, 4),
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    return path


@pytest.mark.slow
def test_a_clip_more_costs_less_than_2_kb(tmp_path):
    found = []
    for count in (1_000, 6_000):
        source, out = segments(tmp_path / f"in{count}", count), tmp_path / f"out{count}"
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(source), str(out)],
            env=environment(), text=True, capture_output=True, check=True,
        )  # fmt: skip
        clips, peak_kib = map(int, done.stdout.split())
        assert clips == count
        found.append(peak_kib * 1024)
    assert (found[1] - found[0]) / 5_000 < MAX_BYTES_A_CLIP, found
