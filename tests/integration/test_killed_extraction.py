"""Codes of a corpus on two ranks that are killed again and again: no clip twice, none lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from gsv2.data.corpus.manifest import is_complete
from tests.inference.test_extraction import save_quantizer
from tests.support.processes import start_two_ranks

LONGEST_SEC = 1800.0


def kill(process) -> None:
    """End a launcher and its ranks at once, as a machine that fails does."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    process.communicate()


def files(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_kills_amid_a_shard_and_after_one_cost_no_clip_and_no_sum(make_corpus, tmp_path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 8, num_speakers=8, seconds=(0.5, 0.9), shard_mb=0.05)
    quantizer = tmp_path / "quantizer.safetensors"
    save_quantizer(quantizer, seed=0)

    def start(name: str):
        paths = {"--corpus": corpus, "--quantizer": quantizer, "--out": tmp_path / name / "codes"}
        paths["--feature-stats"] = tmp_path / name / "stats.safetensors"
        arguments = [str(part) for pair in paths.items() for part in pair]
        return start_two_ranks("gsv2", "corpus", "extract-codes", *arguments)

    whole = start("whole")
    _, said = whole.communicate(timeout=LONGEST_SEC)
    assert whole.returncode == 0, said
    assert "x real time" in said
    for sign in ("*.tar", ".finished-*.jsonl"):  # amid the first shard, and after a whole one
        process = start("killed")
        while process.poll() is None and not list((tmp_path / "killed").rglob(sign)):
            time.sleep(0.01)
        if process.poll() is None:
            kill(process)
        else:
            process.communicate()
    last = start("killed")
    _, said = last.communicate(timeout=LONGEST_SEC)
    assert last.returncode == 0, said
    assert is_complete(tmp_path / "killed" / "codes")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
