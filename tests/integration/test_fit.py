"""The whole of `gsv2 fit` on a few clips: that it runs, ends in its time and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gsv2.data.corpus.manifest import read_manifest
from gsv2.fit import steps
from gsv2.fit.pipeline import FitSettings, run_fit
from gsv2.hub.model_card import collect_facts
from gsv2.training.checkpoints.checkpoint import list_steps
from gsv2.training.run_folder.records import read_records

TINY = (
    "quantizer.model.codes.codebook_size=16",
    "quantizer.model.codebooks.kmeans_iterations=3",
    "gpt.model.validation_sentences=1",
)
STAGES = ("quantizer", "aligner", "gpt", "vits2")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support.tiny_corpus import make_corpus

    return make_corpus(tmp_path_factory.mktemp("fit") / "corpus", num_clips=24)


def settings_of(corpus: Path, out: Path, **options: Any) -> FitSettings:
    values = {"minutes": 0.03, "overrides": TINY, "side_by_side": False, **options}
    return FitSettings(corpus=corpus, out=out, **values)


def test_a_fit_that_is_broken_off_goes_on_to_a_bundle_that_was_judged(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(steps, "_LEAST_SENTENCES", 1)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "align_corpus", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_fit(settings_of(corpus, out))
    broken = json.loads((out / "fit.json").read_text())
    assert broken["finished"] == ["quantizer", "codes", "aligner"]
    trained = {stage: list_steps(out / stage) for stage in ("quantizer", "aligner")}

    result = run_fit(settings_of(corpus, out))
    assert {stage: list_steps(out / stage) for stage in trained} == trained
    assert result.bundle.is_dir()
    assert result.report.read_text().count("<audio") >= 2
    facts = collect_facts(result.bundle, "fitted")
    assert facts.is_complete, "every part tells its corpora"
    assert facts.hours.keys() == {*read_manifest(corpus).languages}
    assert facts.figures is not None, "the bundle carries its evaluation"
    for stage in STAGES:
        last = read_records(out / stage / "metrics.jsonl")[-1]
        assert any(key.startswith("validation/") for key in last), stage
    done = json.loads((out / "fit.json").read_text())
    assert done["finished"][-2:] == ["bundle", "evaluation"]
    assert done["seconds"]["quantizer"] == broken["seconds"]["quantizer"]

    before = (out / "bundle" / "bundle.json").stat().st_mtime_ns
    run_fit(settings_of(corpus, out))
    assert (out / "bundle" / "bundle.json").stat().st_mtime_ns == before, "all was done"
    with pytest.raises(ValueError, match=r"seed 0, not with .*seed 1; choose another --out"):
        run_fit(settings_of(corpus, out, seed=1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fit_side_by_side_that_is_killed_goes_on(
    make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    corpus, out = make_corpus(tmp_path / "corpus", num_clips=24), tmp_path / "out"
    command = [
        *(sys.executable, "-m", "gsv2.cli", "fit", str(corpus), *TINY),
        *("--minutes", "0.7", "--out", str(out), "--parallel"),
    ]
    process = subprocess.Popen(command)
    while process.poll() is None and not (out / "vits2" / "metrics.jsonl").exists():
        time.sleep(0.05)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert process.returncode == -9
    assert psutil.wait_procs(children, 120)[1] == [], "they see that it is gone, save and leave"
    assert subprocess.run(command, check=False).returncode == 0
    assert (out / "bundle" / "bundle.json").is_file()
    assert (out / "logs" / "reading.log").is_file()
