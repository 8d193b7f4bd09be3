"""The main job, small: the figures of the report are promised for its full size only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsv2.quickstart import demo_plan, pipeline, summary
from gsv2.quickstart.pipeline import STAGES, run_quickstart
from gsv2.training.run_folder.records import read_records
from gsv2.training.telemetry.clock import TIMING_KEYS
from tests.conftest import TINY_SCALE

NUM_SENTENCES = 2
MADE = ("corpus/*/**/*.tar", "codes/*/**/*.tar", *(f"{s}/**/*.*tensors" for s in STAGES))


class MeasuredAgain(Exception):
    """The second run has come to what every run does anew."""


def test_the_whole_chain_ends_in_a_report_and_nothing_is_made_again(tiny_quickstart, monkeypatch):
    figures = json.loads((tiny_quickstart / "report.json").read_text())
    report = (tiny_quickstart / "report.html").read_text()
    assert report.count("<audio") == 2 * (summary.NUM_PANELS + NUM_SENTENCES)
    assert len(figures["figures"]) >= 8
    made = [path for pattern in MADE for path in sorted(tiny_quickstart.glob(pattern))]
    assert len(made) > 2 * len(MADE)
    before = [path.stat().st_mtime_ns for path in made]
    monkeypatch.setattr(demo_plan, "HELDOUT_CLIPS_PER_VOICE", 2)
    monkeypatch.setattr(pipeline, "collect", _stop)
    with pytest.raises(MeasuredAgain):
        run_quickstart(tiny_quickstart, scale=TINY_SCALE)
    assert [path.stat().st_mtime_ns for path in made] == before
    with pytest.raises(ValueError, match="holds a quickstart of seed 0"):
        run_quickstart(tiny_quickstart, seed=1, scale=TINY_SCALE)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_quickstart_killed_in_every_stage_ends_like_an_unbroken_one(tmp_path):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert _start(unbroken).wait() == 0
    for stage in STAGES:
        _kill_in(broken, stage)
    assert _start(broken).wait() == 0
    assert (unbroken / "report.html").read_text().count("<audio") >= 20
    for stage in STAGES:
        rows, others = (read_records(out / stage / "metrics.jsonl") for out in (unbroken, broken))
        assert [_untimed(row) for row in rows] == [_untimed(row) for row in others]


def _stop(*_: object) -> None:
    raise MeasuredAgain


def _start(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gsv2.cli", "quickstart", "--out", str(out)]
    return subprocess.Popen([*command, "--scale", "0.1"])


def _kill_in(out: Path, stage: str) -> None:
    """Start the quickstart and kill it once `stage` has passed its first checkpoint."""
    process = _start(out)
    run = out / stage
    while process.poll() is None and not list(run.glob("checkpoints/step_*")):
        time.sleep(0.01)
    time.sleep(0.5)
    process.kill()
    process.wait()
    assert process.returncode == -9, f"the quickstart ended before it was killed in {stage}"


def _untimed(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in TIMING_KEYS}
