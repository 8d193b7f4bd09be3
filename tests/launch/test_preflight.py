"""`launch/preflight.py` under `launch/node.py`, on two machines that are simulated on one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT, WARNINGS, environment, free_port
from tests.support.real_stages import MODELS

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def table(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any
) -> tuple[list[int], list[str]]:
    """Exit codes of two nodes of a rank, and lines of the first; the last tar of a corpus is cut.

    Both nodes run the line that the cluster scripts have.
    """
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
    place = ["--nodes", "2", "--ranks", "1", "--main", f"127.0.0.1:{free_port()}"]
    nodes = []
    for rank in ("0", "1"):
        node = ["launch/node.py", *place, "--node-rank", rank, "--", *WARNINGS]
        command = [sys.executable, *node, "launch/preflight.py", str(config)]
        nodes.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environment(), "ACCELERATE_USE_CPU": "true"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        told, _ = (node.communicate(timeout=250)[0] for node in nodes)
    finally:
        for process in nodes:
            process.kill()
            process.communicate()
    return [process.returncode for process in nodes], told.splitlines()


def test_what_must_be_mended_is_one_line_of_one_table(table: tuple[list[int], list[str]]) -> None:
    codes, lines = table
    assert codes == [1, 1]
    assert [line for line in lines if line.startswith("fail")] == [
        line for line in lines if "tar ends before the clip" in line
    ]
    assert lines[-1] == "preflight: 1 to mend"


def test_two_ranks_agree_and_sum(table: tuple[list[int], list[str]]) -> None:
    _, lines = table
    starts = {" ".join(line.split()[:2]) for line in lines}
    assert {"ok ranks", "ok code", "ok versions", "ok config", "ok clocks"} <= starts
    assert {"ok all-reduce", "ok run", "ok lanes", "ok device"} <= starts
