import json
import sys

import pytest
import yaml
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.preflight.doctor import diagnose
from gsv2.preflight.report import Finding
from tests.support.real_stages import MODELS, train_stage
from tests.support.tiny_gpt import save_quantizer


@pytest.fixture
def config(tmp_path, tiny_corpus):
    path = tmp_path / "run.yaml"
    path.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {tmp_path}/runs}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}}}], max_frames: 200}}\n"
    )
    return path


def failures(config, *overrides):
    return {c.name: c.detail for c in diagnose(config, overrides) if c.status == "fail"}


def test_a_config_that_can_run_passes_every_check(config):
    assert failures(config) == {}
    names = {check.name: check.detail for check in diagnose(config, [])}
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
        ("engines={gtp: {kind: ddp}}", "names", "engines.gtp: no such trainable"),
        ("trainer.compile={gtp: default}", "names", "trainer.compile.gtp: no such trainable"),
        ("trainer.activation_checkpointing=[gtp]", "names", "gtp is no trainable"),
        ("trainer.validate_every_steps=5", "sections", "without data.validation, but is 5"),
        ("checkpoint.best=validation/a", "sections", "which needs data.validation"),
        (
            "optim.quantizer={schedule: wsd, decay_steps: 3}",
            "sections",
            "optim.quantizer.warmup_steps + decay_steps must be at most",
        ),
        ("checkpoint.target=file:///proc/x", "checkpoint target", "checkpoint.target cannot be"),
    ],
)
def test_what_would_stop_a_run_is_found_before_it(config, override, name, reason):
    found = failures(config, override)
    assert reason in found[name]


def test_ranks_that_cannot_share_a_step_are_found(config, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "multiple of the 2 ranks" in failures(config)["lanes"]


def test_a_learning_rate_that_never_reaches_its_peak_is_doubted(config):
    found = {c.name: c for c in diagnose(config, ["optim.quantizer.warmup_steps=1"])}
    assert found["sections"].status == "warn"
    assert "optim.quantizer.warmup_steps (1) is not below" in found["sections"].detail


def test_the_disk_is_that_of_the_run_folder(config, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "gsv2.preflight.run_checks.free_bytes", lambda folder: asked.append(folder) or 0
    )
    found = {c.name: c.status for c in diagnose(config, [])}
    assert found["disk"] == "warn"
    assert [str(folder) for folder in asked] == [f"{config.parent}/runs"]


def test_codes_of_another_quantizer_are_found(tmp_path, tiny_corpus):
    train_stage("quantizer", tmp_path, tiny_corpus.path, tmp_path)
    values = yaml.safe_load((tmp_path / "quantizer.yaml").read_text())
    source = {"path": str(tiny_corpus.path), "codes": str(tiny_corpus.codes)}
    values["data"] = {"sources": [source], "max_tokens": 300, "lanes": 2}
    values["stage"], values["model"] = (
        "gpt",
        {**MODELS["gpt"], "quantizer": f"{tmp_path}/quantizer"},
    )
    config = tmp_path / "gpt.yaml"
    config.write_text(yaml.safe_dump(values))
    assert "made by quantizer 0000" in failures(config)[f"corpus {tiny_corpus.path}"]


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


def test_the_table_says_what_was_found_as_it_was_found(monkeypatch):
    """Brackets are no markup, and the columns of a terminal that is not there break no line."""
    details = ["pip install 'gsv2[tensorboard]'", "clip a[/x] in b", "x" * 80]
    checks = [Finding(f"corpus [{n}]", "fail", detail) for n, detail in enumerate(details)]
    monkeypatch.setattr("gsv2.commands.doctor.diagnose", lambda *_: checks)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    for check in checks:
        assert any(check.name in line and check.detail in line for line in lines), result.stdout


@pytest.mark.long
def test_the_memory_of_the_largest_micro_batches_is_estimated(config, tmp_path, tiny_corpus):
    """Of a GPT on its budget; a quantizer, whose codebooks start from data, says why not."""
    found = {check.name: check for check in diagnose(config, [])}["memory of a step"]
    assert found.status == "ok"
    assert "not estimated before its first step: codebooks must be initialised" in found.detail
    values = yaml.safe_load(config.read_text())
    source = {"path": str(tiny_corpus.path), "codes": str(tiny_corpus.codes)}
    values["data"] = {"sources": [source], "max_tokens": 300, "lanes": 2}
    values["stage"] = "gpt"
    quantizer = save_quantizer(tmp_path / "quantizer.safetensors")
    values["model"] = {**MODELS["gpt"], "quantizer": str(quantizer)}
    config.write_text(yaml.safe_dump(values))
    small, large = (
        {check.name: check.detail for check in diagnose(config, [f"data.max_tokens={tokens}"])}
        for tokens in (300, 3000)
    )
    assert "GiB at the peak, with " in small["memory of a step"]
    assert "GiB free here" in small["memory of a step"]
    peaks = [float(found["memory of a step"].split()[1]) for found in (small, large)]
    assert 3 < peaks[1] / peaks[0] < 12
