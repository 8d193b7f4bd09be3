"""Resuming and memory: the corpus that they are measured on, and that the scripts run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.copies import write_million
from benchmarks.resume import CONFIG, check_equal, open_plan, resume, walk_to
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import make_reader

ROOT = Path(__file__).parents[2]


def test_copies_have_keys_of_their_own_and_members_to_read(tmp_path):
    source = write_million(tmp_path, 200, template_clips=80)
    index = CorpusIndex.open(source)
    assert index.num_clips == 240
    assert len(set(index.strings("key").to_pylist())) == 240
    reader = make_reader(index, ("codes",), CONFIG)
    first, last = (reader.read(row) for row in (0, 160))
    assert bytes(first["codes"]) == bytes(last["codes"])
    reader.close()


def test_resuming_is_told_apart_from_another_micro_batch(tmp_path):
    config = replace(CONFIG, lanes=2, sources=[write_million(tmp_path, 800, template_clips=400)])
    place = walk_to(open_plan(config), 300)
    check_equal(resume(config, place), config, place.expected)
    other = place._replace(micro_batch=place.micro_batch + 1)
    with pytest.raises(AssertionError):
        check_equal(resume(config, other), config, place.expected)


@pytest.mark.parametrize(
    ("script", "result"),
    [("resume", "row-11-resume.json"), ("memory", "row-11-memory-of-a-worker.json")],
)
@pytest.mark.slow
def test_a_script_writes_its_row(tmp_path: Path, script: str, result: str):
    command = [sys.executable, "-m", f"benchmarks.{script}", "--quick", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    row = json.loads((tmp_path / result).read_text())
    assert row["quick"]
    assert all(target["met"] for target in row["targets"] if target["figure"]["unit"])
