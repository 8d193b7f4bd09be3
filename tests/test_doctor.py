import json
import sys

import pytest
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.doctor import examine


@pytest.fixture
def config(tmp_path, tiny_corpus):
    path = tmp_path / "run.yaml"
    path.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {tmp_path}/runs}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}}}], max_frames: 200}}\n"
    )
    return path


def failures(config, *overrides):
    return {c.name: c.detail for c in examine(config, overrides) if c.status == "fail"}


def test_a_config_that_can_run_passes_every_check(config):
    assert failures(config) == {}
    names = {check.name: check.detail for check in examine(config, [])}
    assert names["precision quantizer"] == "parameters fp32, computes in fp32"
    assert names["module quantizer"].endswith("stored float32")


@pytest.mark.parametrize(
    ("override", "name", "reason"),
    [
        ("data.sources=[{path: nowhere}]", "corpus nowhere", "no such folder"),
        ("data.workers=3", "lanes", "must be a multiple of ranks x workers"),
        ("precision.quantizer=bf16", "model", "half precision flips codes"),
        ("model.codes.groups=3", "config", "groups must divide dim"),
        ("trainer.max_step=3", "config", "max_step"),
        ("checkpoint.target=file:///proc/x", "checkpoint target", "checkpoint.target cannot be"),
    ],
)
def test_what_would_stop_a_run_is_found_before_it(config, override, name, reason):
    found = failures(config, override)
    assert reason in found[name]


def test_a_tracker_that_is_not_installed_is_found(config, monkeypatch):
    assert failures(config, "tracking.tensorboard=true") == {}
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # an import of it raises
    assert failures(config) == {}
    found = failures(config, "tracking.tensorboard=true")
    assert found["tensorboard"].startswith("pip install 'gsv2[tensorboard]'")


def test_a_damaged_tar_is_found(config, tmp_path, make_corpus):
    corpus = make_corpus(tmp_path / "corpus")
    for tar in corpus.rglob("*.tar"):
        content = bytearray(tar.read_bytes())
        content[2048 : len(content) - 2048] = bytes(len(content) - 4096)
        tar.write_bytes(content)
    found = failures(config, f"data.sources=[{{path: {corpus}}}]")
    assert "clip" in found[f"corpus {corpus}"]


def test_the_command_fails_if_a_check_does_and_prints_clean_json(config):
    result = CliRunner().invoke(app, ["doctor", str(config), "--json"])
    assert result.exit_code == 0
    assert {check["status"] for check in json.loads(result.stdout)} <= {"ok", "warn"}
    result = CliRunner().invoke(app, ["doctor", str(config), "--json", "data.workers=3"])
    assert result.exit_code == 1
    assert "fail" in {check["status"] for check in json.loads(result.stdout)}
