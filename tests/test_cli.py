"""The command line: one readable line for every error, exit code 0 only on success."""

import json
import re

import pytest
from typer.testing import CliRunner

from gsv2.cli import app

COMMANDS = [
    "quickstart", "fit", "train", "plan", "runs", "doctor", "export", "synthesize",
    "serve", "voice make", "voice mix", "inspect", "detect", "convert",
    "configs list", "configs copy", "corpus describe", "corpus build", "corpus index",
    "corpus verify", "corpus extract-codes", "corpus feature-stats", "corpus extract-text",
    "corpus reject-codes",
    "corpus demo", "corpus listen",
]  # fmt: skip


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"gsv2 {command}" in " ".join(result.output.split())


def test_a_shipped_config_goes_by_its_name_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("gpt/debug", "configs/gpt/debug.yaml"):
        result = run("plan", name)
        assert result.exit_code == 1
        assert "corpus runs/quickstart/corpus/train: no such folder" in result.stderr


def test_configs_are_listed_and_copied_but_replace_nothing(tmp_path):
    names = run("configs", "list").stdout.split()
    assert {"gpt/base", "gpt/debug", "joint/debug"} <= set(names)
    assert run("configs", "copy", "gpt/debug", "--out", tmp_path).exit_code == 0
    assert "stage: gpt" in (tmp_path / "gpt" / "debug.yaml").read_text()
    result = run("configs", "copy", "--out", tmp_path)
    assert result.exit_code == 1
    assert "gpt/debug.yaml exists already" in result.stderr
    assert not (tmp_path / "gpt" / "base.yaml").exists()
    assert run("configs", "copy", "--launch", "--out", tmp_path / "launch").exit_code == 0
    assert (tmp_path / "launch" / "k8s" / "runtime.yaml").is_file()


def test_the_data_tools_are_commands(tiny_corpus, tmp_path):
    result = run("corpus", "verify", "--corpus", tiny_corpus.path)
    assert result.exit_code == 0, result.output
    assert "all well" in result.stdout
    result = run("corpus", "describe", tiny_corpus.path)
    assert "audio, 12 clips" in result.stdout
    assert "median duration" in result.stdout
    page = tmp_path / "listen.html"
    result = run("corpus", "listen", tiny_corpus.path, "--clips", "2", "--out", page)
    assert "listen.html: 2 clips" in result.stdout
    result = run("corpus", "verify", "--corpus", tmp_path)
    assert result.exit_code == 2
    assert isinstance(
        run("corpus", "verify", "--corpus", tmp_path, "--debug").exception, ValueError
    )


def test_debug_shows_the_traceback(tmp_path):
    result = run("train", tmp_path / "nowhere.yaml", "--debug")
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)


def test_an_unknown_key_is_named_with_what_was_meant(tiny_corpus, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {tmp_path}}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}}}], max_frames: 500}}\n"
    )
    result = run("train", config, "trainer.max_step=3")
    assert result.exit_code == 1
    assert "max_step" in result.stderr
    assert "max_steps" in result.stderr


def test_plan_prints_one_object_a_micro_batch(tiny_corpus, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {tmp_path}}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}}}], max_frames: 200, lanes: 2}}\n"
    )
    result = run("plan", config, "--world", 2, "--start", 3, "--steps", 4)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["micro_batch"] for row in rows] == [3, 4, 5, 6]
    assert [row["rank"] for row in rows] == [1, 0, 1, 0]
    assert rows[0].keys() == {
        "micro_batch",
        "lane",
        "rank",
        "worker",
        "epoch",
        "sequences",
        "tokens",
        "padding",
    }
    result = run("plan", config, "--world", 3)
    assert result.exit_code == 1
    assert "must be a multiple of ranks x workers" in result.stderr


def test_plan_sums_an_epoch_up_by_language(tiny_corpus, tmp_path):
    config = write_run(tmp_path, tiny_corpus.path, "max_frames: 200, lanes: 2, max_clip_sec: 1.2")
    result = run("plan", config, "--summary")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if "%" in line]
    assert [row[0] for row in rows] == ["en", "zh", "total"]
    assert "longer than data.max_clip_sec" in result.stdout
    result = run("plan", config, "--summary", "--json")
    values = json.loads(result.stdout)
    assert values["total"]["clips"] + values["total"]["left_out"] == 12
    assert list(values["languages"]) == ["en", "zh"]


def test_plan_checks_what_a_run_has_read(tiny_corpus, tmp_path):
    model = "codes: {codebook_size: 16, dim: 8}, width: 8, num_blocks: 1, kernel_size: 3"
    data = "max_frames: 300, lanes: 2"
    config = write_run(tmp_path, tiny_corpus.path, data, f"model: {{{model}}}")
    folder = tmp_path / "x"

    def check(*overrides):
        result = run("plan", config, *overrides, "--check", folder)
        return result.exit_code, result.output

    assert check() == (1, f"gsv2: error: {folder}/metrics.jsonl does not exist; name a run\n")
    assert run("train", config, "trainer.max_steps=1").exit_code == 0
    assert check() == (0, f"{folder}: no lane has finished an epoch yet: nothing to compare\n")
    assert run("train", config, "trainer.max_steps=14").exit_code == 0
    code, output = check()
    assert code == 0, output
    found = "epoch 0: 2 lanes equal, 0 differ; 12 clips, 0 quarantined"
    assert f"part 0 of the mixture, {found}" in output

    metrics = folder / "metrics.jsonl"
    metrics.write_text(re.sub(r'"clips": \d+', '"clips": 7', metrics.read_text(), count=1))
    code, output = check()
    assert code == 1
    assert "7 clips, but the plan has" in output
    assert check("seed=1")[0] == 1  # another plan


def write_run(folder, corpus, data, more=""):
    config = folder / "run.yaml"
    config.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {folder}}}\ntracking: {{progress: false}}\n"
        f"trainer: {{max_steps: 1}}\ndata: {{sources: [{{path: {corpus}}}], {data}}}\n{more}\n"
    )
    return config
