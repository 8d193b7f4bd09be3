import importlib.util
import json
import shutil
from pathlib import Path

import typer
from typer.testing import CliRunner

from tests.support.tiny_gpt import save_quantizer

TOOL = Path(__file__).parents[2] / "data_tools" / "verify_shards.py"


def run(*arguments):
    spec = importlib.util.spec_from_file_location("verify_shards", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    app = typer.Typer()
    app.command()(tool.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_exit_0_means_that_all_is_well(tiny_corpus):
    made = run("--corpus", tiny_corpus.path, "--codes", tiny_corpus.codes, "--decode")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.count("2 shards, 12 clips, 0.00") == 2
    assert made.stdout.count("all well") == 2


def test_problems_are_a_table_or_json_and_exit_1(tiny_corpus, tmp_path):
    shutil.copytree(tiny_corpus.path, tmp_path / "c")
    tar = tmp_path / "c/en/clips-000000.tar"
    tar.write_bytes(tar.read_bytes()[:50_000])
    made = run("--corpus", tmp_path / "c")
    assert made.exit_code == 1
    assert "ends inside a member at byte 50000" in made.stdout
    assert "4 problems in 1 shards" in made.stdout
    made = run("--corpus", tmp_path / "c", "--json")
    assert made.exit_code == 1
    (result,) = json.loads(made.stdout)
    assert result["problems"][0]["shard"] == "en/clips-000000"
    assert {problem["kind"] for problem in result["problems"]} >= {"tar is damaged"}


def test_the_quantizer_of_old_codes_says_their_range(tiny_corpus, tmp_path):
    """Without it a line says that nobody knows; here it is another one, which is said too."""
    asked = ("--corpus", tiny_corpus.path, "--codes", tiny_corpus.codes, "--decode")
    made = run(*asked)
    assert "not checked: " in made.stdout
    assert "corpus.json has no codebook_size: codes lie in 0..10" in made.stdout
    made = run(*asked, "--quantizer", save_quantizer(tmp_path / "quantizer.safetensors"))
    assert made.exit_code == 1
    assert "codes are of another quantizer" in made.stdout
    made = run(*asked, "--quantizer", tmp_path / "nothing")
    assert made.exit_code == 2
    assert str(tmp_path / "nothing") in made.stderr


def test_what_is_no_corpus_is_one_line(tmp_path):
    made = run("--corpus", tmp_path)
    assert made.exit_code == 2
    assert made.stderr.startswith("error: corpus")
    assert made.stderr.count("\n") == 1
    assert "Example" in run("--help").stdout
