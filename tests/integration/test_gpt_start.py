"""A run from the weights of another: fresh in all else, and on its own once it has a checkpoint."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.inference.extraction import extract_codes
from gsv2.models.component import load_component
from gsv2.models.gpt.model import SemanticGPT
from gsv2.train import main
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.run_folder.records import read_records
from tests.support.real_stages import MODELS
from tests.support.tiny_bundle import save_parts

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tiny_corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of a bundle and a sidecar of codes."""
    root = tmp_path_factory.mktemp("world")
    save_parts(root / "parts")
    extract_codes(tiny_corpus.path, root / "parts", root / "codes", CPU)
    return root


def write_config(path: Path, corpus: Path, world: Path) -> Path:
    source = {"path": str(corpus), "codes": str(world / "codes")}
    values = {
        "stage": "gpt",
        "run": {"dir": str(path.parent), "name": "first"},
        "data": {"sources": [source], "lanes": 1, "micro_batches_per_step": 1, "max_tokens": 300},
        "model": {"quantizer": str(world / "parts" / "quantizer.safetensors"), **MODELS["gpt"]},
        "trainer": {"max_steps": 2, "log_every_steps": 1},
        "checkpoint": {"every_steps": 1},
        "tracking": {"progress": False},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_run_begins_at_step_0_with_the_weights_and_resumes_without_their_source(
    tiny_corpus: Any, world: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "gpt.yaml", tiny_corpus.path, world)
    first = main(config)
    tuned = [f"init.gpt={first}", "run.name=tuned", "model.freeze=[backbone]", "seed=5"]
    run = main(config, [*tuned, "trainer.max_steps=1"])
    kept, new = (load_component(find_component(r, "gpt"), "gpt").tensors for r in (first, run))
    frozen = [name for name in kept if name.startswith("backbone.")]
    assert frozen
    assert all(torch.equal(kept[name], new[name]) for name in frozen)
    assert not torch.equal(kept["audio_start"], new["audio_start"])
    shutil.rmtree(first)
    main(config, [*tuned, "trainer.max_steps=2"])
    assert [row["step"] for row in read_records(run / "metrics.jsonl")] == [1, 2]
    with pytest.raises(ValueError, match=r"gpt.safetensors in .*first"):
        main(config, [*tuned, "run.name=again"])


def test_preferences_are_trained_through_the_command_line(
    tiny_corpus: Any, world: Path, tmp_path: Path
) -> None:
    """From a run of the GPT: the loss of a coin at first, then a file that speaks as any GPT's."""
    config = write_config(tmp_path / "gpt.yaml", tiny_corpus.path, world)
    first = main(config)
    values = yaml.safe_load(config.read_text())
    values |= {"stage": "dpo", "init": {"gpt": str(first)}, "optim": {"gpt": {"lr": 3e-3}}}
    values["model"] |= {"min_span_sec": 0.2, "max_span_sec": 0.4, "faults": ["truncated"]}
    values["model"]["gpt"] = {**values["model"]["gpt"], "dropout": 0.0}
    values["run"]["name"] = "preferred"
    values["trainer"]["max_steps"] = 16
    dpo = tmp_path / "dpo.yaml"
    dpo.write_text(yaml.safe_dump(values))
    done = CliRunner().invoke(app, ["train", str(dpo)])
    assert done.exit_code == 0, done.output
    run = tmp_path / "preferred"
    rows = read_records(run / "metrics.jsonl")
    assert rows[0]["gpt/loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert max(row["gpt/loss"] for row in rows[-3:]) < rows[0]["gpt/loss"]
    assert {"gpt/margin", "gpt/preferred"} <= rows[-1].keys()
    component = load_component(find_component(run, "gpt"), "gpt")
    SemanticGPT.from_component(component)
