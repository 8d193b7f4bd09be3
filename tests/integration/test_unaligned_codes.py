"""Runs of a pointer on codes that nobody has aligned."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gsv2.data.corpus.manifest import read_manifest
from gsv2.inference.alignment import align_corpus
from gsv2.models.component import load_component
from gsv2.train import main
from gsv2.training.run_folder.records import read_records
from tests.support.real_stages import BACKBONE
from tests.support.same_run import assert_same_metrics
from tests.support.tiny_aligner import save_aligner
from tests.support.tiny_gpt import V, save_quantizer

pytestmark = pytest.mark.long

STEPS = 3


Parts = Callable[[tuple[float, float]], Path]


@pytest.fixture
def make_parts(tmp_path: Path, make_corpus: Any, make_codes: Any) -> Parts:
    """Make a folder with a corpus, its codes, a quantizer and an aligner.

    The texts have 10 to 50 characters; in clips from 2.1 s on all can be aligned.
    """

    def make(seconds: tuple[float, float]) -> Path:
        corpus = make_corpus(tmp_path / "corpus", 12, seconds=seconds)
        quantizer = load_component(save_quantizer(tmp_path / "q.safetensors"), "quantizer")
        made_by = quantizer.provenance["quantizer"]
        make_codes(corpus, tmp_path / "codes", codebook_size=V, quantizer=made_by)
        save_aligner(tmp_path / "a.safetensors", made_by, codebook_size=V)
        return tmp_path

    return make


def train(parts: Path, name: str, codes: str, *overrides: str) -> Path:
    source = [{"path": str(parts / "corpus"), "codes": str(parts / codes)}]
    values = {
        "stage": "gpt",
        "run": {"dir": str(parts / "runs"), "name": name},
        "data": {"sources": source, "validation": source, "lanes": 4, "max_tokens": 300},
        "model": {
            "quantizer": str(parts / "q.safetensors"),
            "aligner": str(parts / "a.safetensors"),
            "gpt": {"reading": "pointer", "backbone": BACKBONE, "depth": BACKBONE},
        },
        "trainer": {"max_steps": STEPS, "log_every_steps": 1},
        "tracking": {"progress": False, "samples": 1},
    }
    path = parts / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return main(path, overrides)


def test_a_pointer_learns_from_codes_aligned_as_they_are_read_what_it_does_from_aligned_ones(
    make_parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """To the last digit, with and without data workers, and over an end between two steps."""
    parts = make_parts((2.1, 3.0))
    aligned = shutil.copytree(parts / "codes", parts / "aligned")
    align_corpus(parts / "corpus", aligned, parts / "a.safetensors", torch.device("cpu"))
    first = "trainer.max_steps=2"
    train(parts, "wanted", "aligned", first)
    with caplog.at_level(logging.INFO, logger="gsv2.stages.sources"):
        train(parts, "run", "codes", first, "data.workers=2")
    assert [m.partition(":")[0] for m in caplog.messages if "not aligned" in m] == [
        "data.sources", "data.validation"
    ]  # fmt: skip
    wanted, run = (train(parts, *names) for names in (("wanted", "aligned"), ("run", "codes")))
    assert len(read_records(run / "metrics.jsonl")) == STEPS
    assert_same_metrics(wanted, run, 0.0)
    assert not read_records(run / "quarantine.jsonl")
    assert read_manifest(parts / "codes").aligner is None, "nothing is written to the codes"


def test_clips_that_cannot_be_aligned_are_in_the_quarantine_with_the_reason(
    make_parts: Parts,
) -> None:
    parts = make_parts((0.5, 1.6))
    run = train(parts, "run", "codes", "data.max_bad_fraction=0.9", "trainer.max_steps=9")
    _, report = align_corpus(
        parts / "corpus", parts / "codes", parts / "a.safetensors", torch.device("cpu")
    )
    bad = read_records(run / "quarantine.jsonl")
    assert {clip["key"]: clip["reason"] for clip in bad} == report.failures
    assert 0 < len(report.failures) < 12
    assert read_records(run / "metrics.jsonl")[-1]["data/bad_clips"] == len(bad)
