"""The main job, small: the figures of the report are promised for its full size only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsv2.fit.runs import STAGES
from tests.support.tiny_quickstart import run_tiny_quickstart

MADE = ("corpus/*/**/*.tar", "codes/*/**/*.tar", *(f"{s}/**/*.*tensors" for s in STAGES))


@pytest.mark.long
def test_the_whole_chain_ends_in_a_report_and_nothing_is_made_again(tiny_quickstart, forked_runs):
    figures = json.loads((tiny_quickstart / "report.json").read_text())
    report = (tiny_quickstart / "report.html").read_text()
    assert report.count("<audio") == 2 * len(figures["sentences"]) > 0
    assert len(figures["figures"]) >= 8
    assert report.count("<svg") > 100, "a chart a term"
    made = [path for pattern in MADE for path in sorted(tiny_quickstart.glob(pattern))]
    assert len(made) > 2 * len(MADE)
    before = [path.stat().st_mtime_ns for path in made]
    run_tiny_quickstart(tiny_quickstart, forked_runs)
    assert [path.stat().st_mtime_ns for path in made] == before
    with pytest.raises(ValueError, match="choose another --out or delete the folder"):
        run_tiny_quickstart(tiny_quickstart, forked_runs, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_quickstart_killed_in_every_stage_still_ends_in_a_report(tmp_path):
    for stage in STAGES:
        _kill_in(tmp_path, stage)
    assert _start(tmp_path).wait() == 0
    assert (tmp_path / "report.html").read_text().count("<audio") >= 12


def _start(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gsv2.cli", "quickstart", "--out", str(out)]
    return subprocess.Popen([*command, "--scale", "0.2"])


def _kill_in(out: Path, stage: str) -> None:
    """Start the quickstart and kill it once `stage` has begun to record."""
    process = _start(out)
    while process.poll() is None and not (out / stage / "metrics.jsonl").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.returncode == -9, f"the quickstart ended before it was killed in {stage}"
