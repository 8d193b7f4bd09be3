from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT, WARNINGS, environment
from tests.support.real_stages import MODELS


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any) -> tuple[int, list[str]]:
    """Exit code and lines of two ranks, with a corpus whose last tar is cut."""
    folder = tmp_path_factory.mktemp("preflight")
    shutil.copytree(tiny_corpus.path, folder / "cut")
    last = sorted((folder / "cut").rglob("*.tar"))[-1]
    last.write_bytes(last.read_bytes()[:-8000])
    values = {
        "stage": "quantizer",
        "run": {"dir": str(folder), "name": "run"},
        "data": {
            "sources": [{"path": str(tiny_corpus.path)}],
            "validation": [{"path": str(folder / "cut")}],
            "lanes": 2,
            "micro_batches_per_step": 2,
            "max_frames": 150,
        },
        "model": MODELS["quantizer"],
        "trainer": {"max_steps": 3},
    }
    config = folder / "run.yaml"
    config.write_text(yaml.safe_dump(values))
    node = ["launch/node.py", "--ranks", "2", "--", *WARNINGS]
    command = [sys.executable, *node, "launch/preflight.py", str(config)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


def test_what_must_be_mended_is_one_line_of_one_table(table: tuple[int, list[str]]) -> None:
    code, lines = table
    assert code == 1
    assert [line for line in lines if line.startswith("fail")] == [
        line for line in lines if "tar ends before the clip" in line
    ]
    assert lines[-1] == "preflight: 1 to mend"


def test_two_ranks_agree_and_sum(table: tuple[int, list[str]]) -> None:
    _, lines = table
    starts = {" ".join(line.split()[:2]) for line in lines}
    assert {"ok ranks", "ok code", "ok versions", "ok config", "ok clocks"} <= starts
    assert {"ok all-reduce", "ok run", "ok lanes", "ok device"} <= starts
