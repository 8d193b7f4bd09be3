from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.commands.runs import find_runs, runs_table, summarise_run
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.status import recorded_status
from tests.support.toy_stage import fit_toy, toy_config

NO_RECORD = "metrics.jsonl has a line that is no record of a run"
RECORD = {"time": 7200.0, "gpt/loss": 2.5, "train/steps_per_sec": 4.0, "data/hours/en": 1.5}


def write_run(
    path: Path, records: list[dict[str, Any]], status: dict[str, Any] | None = None
) -> Path:
    """Write a run that was trained on another machine."""
    path.mkdir(parents=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (path / "metrics.jsonl").write_text(text)
    if status is not None:
        about = {"host": "elsewhere", "pid": 1, "started": 0.0, "stage": "gpt", "max_steps": 100}
        (path / "status.json").write_text(json.dumps({**about, **status}))
    return path


def test_a_run_is_summed_up_by_its_last_record_and_its_last_validation(tmp_path: Path) -> None:
    records = [{"step": step, **RECORD} for step in range(1, 41)]
    records[19]["validation/gpt/loss"] = 3.0
    run = write_run(tmp_path / "a", records, {"state": "running"})
    for step in (10, 20):
        (run / "checkpoints" / f"step_{step:08d}").mkdir(parents=True)
    (run / "checkpoints" / ".tmp-step_00000030").mkdir()
    found = summarise_run(run)
    assert (found.step, found.max_steps, found.checkpoint_step) == (40, 100, 20)
    assert (found.losses, found.validation) == ({"gpt": 2.5}, {"gpt/loss": 3.0})
    assert (found.hours, found.audio_hours, found.steps_per_sec) == (2.0, 1.5, 4.0)
    assert (found.state, found.stage) == ("running", "gpt")
    assert found.age_sec < 60


@pytest.mark.parametrize(
    ("status", "age_sec", "state"),
    [
        ({"state": "running"}, 60, "running"),
        ({"state": "running"}, 3600, "silent"),
        ({"state": "running", "log_every_steps": 40_000}, 3600, "running"),  # a record in 3 hours
        ({"state": "failed", "reason": "ValueError: x"}, 60, "failed"),
        ({"state": "stopped", "reason": "SIGTERM"}, 3600, "stopped"),
        ({"state": "finished"}, 3600, "finished"),
        (None, 60, "stopped"),
    ],
)
def test_the_state_of_a_run(
    tmp_path: Path, status: dict[str, Any] | None, age_sec: float, state: str
) -> None:
    run = write_run(tmp_path / "a", [{"step": 1, **RECORD}], status)
    assert summarise_run(run, now=time.time() + age_sec).state == state


def test_a_run_whose_process_is_gone_without_a_word_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from gsv2.training.run_folder.status import *\n"
        "with recorded_status(Path(sys.argv[1]), max_steps=9): os._exit(9)"
    )
    run = write_run(tmp_path / "a", [{"step": 1, **RECORD}])
    subprocess.run([sys.executable, "-c", code, str(run)], check=False, timeout=60)
    assert summarise_run(run).state == "killed"
    with recorded_status(run, max_steps=9):
        assert summarise_run(run).state == "running"


def test_a_half_written_record_is_not_read_and_an_empty_run_is_at_step_0(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [{"step": 1, **RECORD}])
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "gpt/lo')
    assert summarise_run(run).step == 1
    empty = write_run(tmp_path / "b", [])
    assert (summarise_run(empty).step, summarise_run(empty).losses) == (0, {})


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (
            "metrics.jsonl",
            "another program's\n",
            NO_RECORD,
        ),
        ("metrics.jsonl", "[1, 2]\n", NO_RECORD),
        ("metrics.jsonl", '{"epoch": 3}\n', NO_RECORD),
        ("metrics.jsonl", "\0\0\0\n", NO_RECORD),
        ("metrics.jsonl", "\udcff\n", NO_RECORD),
        ("status.json", '{"state": "run', "status.json is no status of a run"),
        ("status.json", '{"state": "running"}', "status.json is no status of a run"),
        ("config.yaml", "trainer: [", "while parsing a flow"),
    ],
)
def test_what_cannot_be_read_is_listed_with_the_reason_beside_the_others(
    tmp_path: Path, file: str, content: str, reason: str
) -> None:
    write_run(tmp_path / "good", [{"step": 1, **RECORD}], {"state": "finished"})
    bad = write_run(tmp_path / "bad", [{"step": 1, **RECORD}])
    (bad / file).write_text(content, errors="surrogateescape")
    answer = CliRunner().invoke(app, ["runs", str(tmp_path), "--json"])
    runs = {Path(run["path"]).name: run for run in json.loads(answer.stdout)}
    assert runs["good"]["state"] == "finished"
    assert runs["bad"]["state"] == "unreadable"
    assert runs["bad"]["reason"].startswith(reason)


@pytest.mark.parametrize("config", ["[1]", "trainer: null", "trainer: {max_steps: many}", "x"])
def test_a_foreign_config_beside_a_run_is_no_matter(tmp_path: Path, config: str) -> None:
    run = write_run(tmp_path / "a", [{"step": 1, "time": "noon", **{"train/steps_per_sec": None}}])
    (run / "config.yaml").write_text(config)
    found = summarise_run(run)
    assert (found.state, found.step, found.max_steps, found.hours) == ("stopped", 1, 0, 0.0)


def test_runs_are_found_at_any_depth_and_not_inside_each_other(tmp_path: Path) -> None:
    for name in ("b", "a/x", "a/y"):
        write_run(tmp_path / name, [])
    (tmp_path / "b" / "failure" / "step_1").mkdir(parents=True)
    (tmp_path / "b" / "failure" / "step_1" / "metrics.jsonl").touch()
    (tmp_path / "corpus").mkdir()
    names = [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)]
    assert names == ["a/x", "a/y", "b"]
    with pytest.raises(ValueError, match="is no folder; name a folder of runs"):
        next(find_runs(tmp_path / "nowhere"))


def test_long_runs_cost_no_more_than_short_ones(tmp_path: Path) -> None:
    """50 runs of 60 MB each, of which only the ends are read (sparse files: nothing before)."""
    for number in range(50):
        run = write_run(tmp_path / str(number), [], {"state": "finished"})
        records = "".join(json.dumps({"step": step, **RECORD}) + "\n" for step in range(1000))
        with (run / "metrics.jsonl").open("r+b") as stream:
            stream.seek(60_000_000)
            stream.write(b"\n" + records.encode())
    start = time.process_time()
    found = [summarise_run(path) for path in find_runs(tmp_path)]
    assert time.process_time() - start < 3.0
    assert {run.step for run in found} == {999}


def test_the_command_lists_a_run_that_the_trainer_wrote(tmp_path: Path) -> None:
    fit_toy(toy_config(tmp_path), Distributed())
    answer = CliRunner().invoke(app, ["runs", str(tmp_path), "--json"])
    [run] = json.loads(answer.stdout)
    assert (run["state"], run["step"], run["max_steps"]) == ("finished", 6, 6)
    assert (run["stage"], run["checkpoint_step"]) == ("toy", 6)
    assert run["losses"].keys() == {"discriminator", "generator"}
    assert run["validation"].keys() == {"generator/error"}
    table = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert table.exit_code == 0
    assert "6/6" in table.stdout
    missing = CliRunner().invoke(app, ["runs", str(tmp_path / "x")])
    assert missing.exit_code == 1
    assert "is no folder" in missing.output


def test_a_table_names_every_run(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "a", [{"step": 7, **RECORD}], {"state": "failed", "reason": "disk full"}
    )
    console = Console(width=160)
    with console.capture() as shown:
        console.print(runs_table([summarise_run(run)]))
    for word in ("failed", "disk full", "7/100", "gpt 2.5", "2.00"):
        assert word in shown.get()


def test_the_command_needs_no_torch() -> None:
    code = "import sys, gsv2.commands.runs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
