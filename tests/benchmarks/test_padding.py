"""Padding: what is counted, and that the scripts run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import padding
from benchmarks.gpt_padding import CONFIG, token_lengths
from benchmarks.harness import Row
from benchmarks.mixes import MAX_CLIP_SEC, MIXES, draw_mix, write_index
from benchmarks.options import Options
from benchmarks.padding import Padding, measure_plan, report_lhotse, window_clips
from gsv2.data.config import DataConfig
from gsv2.data.plan.plan import Plan

ROOT = Path(__file__).parents[2]


def test_the_mixes_have_the_lengths_that_they_are_named_after():
    rng = np.random.default_rng(0)
    even, wide, heavy = (draw_mix(mix, 20_000, rng) for mix in MIXES)
    assert even.mean() == pytest.approx(6.5, rel=0.02)
    assert (3 <= wide.min(), wide.max() <= 30) == (True, True)
    assert heavy.min() == pytest.approx(0.6)
    assert heavy.max() == MAX_CLIP_SEC
    assert heavy.mean() > 1.3 * np.median(heavy)


@pytest.mark.parametrize("batching", ["pack", "bucket"])
def test_costs_are_those_of_the_padded_tensors(tmp_path, batching):
    seconds = draw_mix(MIXES[2], 600, np.random.default_rng(0))
    index = write_index(tmp_path, seconds)
    bucket = DataConfig(sources=[], lanes=2, max_frames=8000, max_clip_sec=MAX_CLIP_SEC)
    config, members = (CONFIG, ["codes"]) if batching == "pack" else (bucket, ["audio"])
    lengths = token_lengths(index) if batching == "pack" else (seconds * 50).astype(int)
    found = measure_plan(Plan(index, config, 0, members), lengths)
    assert found.real.sum() == lengths.sum()
    assert (found.real <= found.cost).all()
    if batching == "pack":
        assert found.cost_cv == 0.0
        assert found.cost[0] == config.max_tokens
    else:
        assert found.cost.max() <= 8000


def test_a_larger_window_pads_less(tmp_path):
    index = write_index(tmp_path, draw_mix(MIXES[0], 3000, np.random.default_rng(0)))
    lengths = token_lengths(index)
    shares, clips = [], []
    for window_mb in (0.25, 1.0, 256.0):
        plan = Plan(index, replace(CONFIG, window_mb=window_mb), 0, ["codes"])
        shares.append(measure_plan(plan, lengths).share)
        clips.append(window_clips(plan))
    assert shares == sorted(shares)
    assert clips == sorted(clips)
    assert len(set(clips)) == 3


def test_lhotse_reads_every_clip_once_and_costs_its_padded_batches():
    pytest.importorskip("lhotse")
    lengths = np.random.default_rng(0).integers(50, 500, 3000)
    found = padding.measure_lhotse(lengths, budget=8000, buffer_size=1000, num_buckets=10)
    assert found.real.sum() == lengths.sum()
    assert found.cost.max() <= 8000 + lengths.max()  # it sees a longer clip too late
    assert 0.8 < found.share < 1.0


def test_without_lhotse_the_row_says_so(monkeypatch):
    def absent(name: str) -> str:
        raise padding.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(padding.importlib.metadata, "version", absent)
    row = Row(1, "padding", Options(quick=True))
    like = Padding(np.array([90.0]), np.array([100.0]))
    report_lhotse(row, "mix", np.array([1.0]), like=like, buffer_size=10)
    assert not row.figures
    assert "lhotse is absent" in row.notes[0]


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("gpt_padding", "row-01-padding-of-the-GPT-stage.json"),
        ("waveform_padding", "row-02-padding-of-the-waveform-stage.json"),
    ],
)
@pytest.mark.slow
def test_a_script_writes_its_row(tmp_path: Path, script: str, result: str):
    command = [sys.executable, "-m", f"benchmarks.{script}", "--quick", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    row = json.loads((tmp_path / result).read_text())
    assert row["quick"]
    assert row["targets"]
    assert all(np.isfinite(figure["value"]) for figure in row["figures"])
