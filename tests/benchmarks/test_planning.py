"""Planning and cold seeks: what is measured, that it can fail, and that the script runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import planning
from benchmarks.harness import Row
from benchmarks.mixes import MIXES, draw_mix, write_index
from benchmarks.options import Options
from benchmarks.planning import DEPTHS, SETTINGS, plan_clips, report_seek, seek, walk

ROOT = Path(__file__).parents[2]
NUM_CLIPS = 1500
LANES = 128
"""Of the base configs."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_index(folder, draw_mix(MIXES[0], NUM_CLIPS, np.random.default_rng(0)))
    return folder


@pytest.mark.parametrize(
    ("name", "unit", "num_rows"),
    [("bucket by frames", "frames", 0), ("bucket by tokens", "tokens", 0), ("pack", "tokens", 2)],
)
def test_a_kind_is_what_it_is_called_and_has_the_lanes_of_its_config(corpus, name, unit, num_rows):
    plan = SETTINGS[name].of(corpus).open()
    assert (plan.table.budget.unit, plan.num_packed_rows, plan.config.lanes) == (
        unit,
        num_rows,
        LANES,
    )
    assert plan.num_clips == NUM_CLIPS


def test_all_clips_are_planned_within_the_time_that_is_measured(corpus):
    settings = SETTINGS["pack"].of(corpus)
    plan = settings.open()
    batches = [plan.micro_batch(k) for k in range(plan_clips(settings, 400))]
    counts = [sum(map(len, batch.sequences)) for batch in batches]
    assert sum(counts) >= 400 > sum(counts[:-1])


def test_a_cold_seek_of_every_lane_is_told_apart_from_another(corpus, monkeypatch, tmp_path):
    settings = SETTINGS["bucket by frames"].of(corpus)
    places = walk(settings.open(), NUM_CLIPS)
    assert 0 < places["middle"].micro_batch < places["end"].micro_batch
    for name in DEPTHS:
        found = seek(settings, places[name].micro_batch).found
        assert len(found) == LANES
        assert found == places[name].expected
    other = places["end"]._replace(micro_batch=places["end"].micro_batch + 1)
    row = Row(11, "planning", Options(quick=True, out=tmp_path))
    monkeypatch.setattr(planning, "ProcessPoolExecutor", Here)
    with pytest.raises(AssertionError, match="what an unbroken run reads"):
        report_seek(row, "end", settings, other)
    report_seek(row, "end", settings, places["end"])
    assert [target.bound for target in row.targets] == [30.0]


class Here:
    """Runs in this process what the script has another one do."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, run, *arguments):
        self.made = run(*arguments)
        return self

    def result(self):
        return self.made


def test_a_clip_that_comes_twice_in_an_epoch_is_seen(corpus):
    plan = SETTINGS["pack"].of(corpus).open()
    first = plan.micro_batch(0)

    class Twice:
        config = plan.config

        def iterate(self):
            yield first
            yield replace(first, micro_batch=1)

    with pytest.raises(AssertionError, match="every clip once"):
        walk(Twice(), NUM_CLIPS)


@pytest.mark.slow
def test_the_script_writes_its_row(tmp_path):
    command = [sys.executable, "-m", "benchmarks.planning", "--quick", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    row = json.loads((tmp_path / "row-11-planning.json").read_text())
    assert row["quick"]
    bounds = [target["bound"] for target in row["targets"]]
    assert bounds == [20.0] * len(SETTINGS) + [30.0] * len(SETTINGS) * len(DEPTHS)
    grown = [figure["value"] for figure in row["figures"] if "memory" in figure["name"]]
    assert len(grown) == len(SETTINGS) * len(DEPTHS)
    assert all(0 < value < 500 for value in grown)
