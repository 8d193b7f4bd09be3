"""Memory of a build does not grow with its audio, and by little with its clips."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.build_memory import write_list
from tests.support.processes import environment

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


@pytest.mark.slow
def test_a_clip_more_costs_less_than_2_kb(tmp_path):
    found = []
    for count in (1_000, 6_000):
        source = write_list(tmp_path / f"in{count}", count, recording_sec=60)
        out = tmp_path / f"out{count}"
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(source), str(out)],
            env=environment(), text=True, capture_output=True, check=True,
        )  # fmt: skip
        clips, peak_kib = map(int, done.stdout.split())
        assert clips == count
        found.append(peak_kib * 1024)
    assert (found[1] - found[0]) / 5_000 < MAX_BYTES_A_CLIP, found
