import importlib.util
import json
from pathlib import Path

import typer
from typer.testing import CliRunner

TOOL = Path(__file__).parents[2] / "data_tools" / "clean_shards.py"


def run(*arguments):
    spec = importlib.util.spec_from_file_location("clean_shards", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    app = typer.Typer()
    app.command()(tool.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_what_is_doubtful_is_told_and_listed_with_the_key_that_leaves_it_out(tiny_corpus, tmp_path):
    made = run("--corpus", tiny_corpus.path, "--out", tmp_path)
    assert made.exit_code == 0, made.output
    listed = tmp_path / "doubtful.jsonl"
    count = len(listed.read_text("utf-8").splitlines())
    assert "12 clips of 3 speakers: similarity" in made.stdout
    assert f"{count} doubtful" in made.stdout
    assert f"data.sources.0.leave_out={listed}" in made.stdout
    for line in listed.read_text("utf-8").splitlines():
        clip = json.loads(line)
        assert clip["measured"] <= clip["threshold"]
        assert clip["key"] in made.stdout


def test_a_judge_that_is_missing_is_one_line(tiny_corpus, tmp_path):
    made = run("--corpus", tiny_corpus.path, "--out", tmp_path, "--encoder", "none")
    assert made.exit_code == 1
    assert made.stderr.splitlines() == [
        "error: nobody judges: name a GPT (--gpt), a speaker encoder or both"
    ]
    made = run("--corpus", tiny_corpus.path, "--out", tmp_path, "--encoder", "ears")
    assert "a speaker encoder must be resemblyzer or wavlm:FOLDER, but is 'ears'" in made.stderr
