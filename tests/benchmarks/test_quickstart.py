"""Turns of two trainings beside each other: what is counted, and what comes of an end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from benchmarks import _quickstart_worker, revisions, turns
from benchmarks._quickstart_worker import Turns, audio_at
from benchmarks.harness import Row
from benchmarks.options import Options
from benchmarks.quickstart import measure
from benchmarks.revisions import worktree
from benchmarks.turns import training_turns


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """Metrics of a run that hears 36 s more in two languages at each of its steps."""
    rows = [{"step": n, "data/hours/en": n / 200, "data/hours/zh": n / 200} for n in range(1, 30)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_audio_is_that_of_all_languages_up_to_a_step(metrics: Path) -> None:
    assert audio_at(metrics, 10) == pytest.approx(360)


def test_a_turn_is_so_many_updates_whatever_the_number_of_optimizers(
    metrics: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The third line is missing: that is the end, before a third turn."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("go on\ngo on\n"))
    clock = iter(range(100))
    monkeypatch.setattr(_quickstart_worker.time, "process_time", lambda: float(next(clock)))
    weight = torch.nn.Parameter(torch.zeros(1))
    gan = [torch.optim.SGD([weight], lr=0.1) for _ in range(2)]
    run = Turns(metrics, updates=10)
    ended: list[int] = []
    monkeypatch.setattr(_quickstart_worker.os, "_exit", ended.append)
    steps = 0
    while not ended:
        steps += 1
        for optimizer in gan:
            run.count(optimizer, (), {})
    assert (steps, ended) == (23, [0])
    said = [json.loads(line.removeprefix("TURN ")) for line in capsys.readouterr().out.splitlines()]
    assert [turn["audio_sec"] for turn in said] == pytest.approx([360, 360])
    assert [turn["cpu_sec"] for turn in said] == [1.0, 1.0]


WORKER = """
import json, os, sys
assert os.environ["PYTHONPATH"] == os.getcwd() and os.environ["OMP_NUM_THREADS"] == "1"
for number, line in enumerate(sys.stdin, 1):
    if number == 3:
        sys.exit("the corpus is gone")
    print("something else", flush=True)
    print("TURN", json.dumps({"cpu_sec": 2.0, "audio_sec": 6.0 * number}), flush=True)
"""


def test_a_run_takes_a_turn_when_told_and_its_end_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    monkeypatch.setattr(turns, "_WORKER", worker)
    with training_turns(tmp_path, tmp_path / "config.yaml", ["a=1"], 20) as run:
        assert [run.take(), run.take()] == [3.0, 6.0]
        with pytest.raises(RuntimeError, match="ended with code 1: the corpus is gone"):
            run.take()


class _Fixed:
    def __init__(self, name: str, rates: Iterator[float], order: list[str]) -> None:
        self._name, self._rates, self._order = name, rates, order

    def take(self) -> float:
        self._order.append(self._name)
        return next(self._rates)


def test_both_begin_as_often_and_the_ratio_is_of_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.probe_machine", lambda quick: {"memcpy": 1.0})
    order: list[str] = []
    here = _Fixed("here", iter([0.1, 4.0, 6.0, 9.0]), order)
    there = _Fixed("there", iter([0.1, 2.0, 2.0, 3.0]), order)
    with Row(14, "quickstart", Options(rounds=3, out=tmp_path)) as row:
        measure(row, "gpt", "abc", [nullcontext(here), nullcontext(there)])
    assert order == ["here", "there", "there", "here", "here", "there", "there", "here"]
    (target,) = row.targets
    assert target.figure.name == "gpt: this build / abc"
    assert (target.figure.value, target.figure.low, target.bound, target.met) == (3, 2, 2, True)


def test_a_revision_lies_beside_the_checkout_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repository"
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    for text in ("before", "now"):
        (root / "file").write_text(text)
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", text], check=True)
    monkeypatch.setattr(revisions, "ROOT", root)
    with worktree("HEAD~1", tmp_path / "other") as other:
        assert (other / "file").read_text() == "before"
    assert not other.exists()
    with (
        pytest.raises(ValueError, match="--against nonsense cannot be checked out"),
        worktree("nonsense", tmp_path / "third"),
    ):
        pass
