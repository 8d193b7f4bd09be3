"""`gsv2 evaluate` as it is called."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from gsv2.audio.wave import save_wave
from gsv2.cli import app
from tests.support.forked_runs import finish
from tests.support.tiny_corpus import synthetic_wave

pytestmark = pytest.mark.long


@pytest.fixture
def sentences(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "said"):
        save_wave(tmp_path / f"{name}.wav", synthetic_wave(1.0, 140.0, rng), 32_000)
    path = tmp_path / "meta.lst"
    path.write_text(
        "u1|Hello there.|a.wav|How are you?|said.wav\nu2|Hello.|b.wav|Fine.||en\n"
        "u3|Hello.|b.wav|Guten Tag.||de\n"
    )
    return path


def call(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_it_prints_tables_and_writes_figures_page_and_sounds(
    tiny_bundle, sentences, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    out = tmp_path / "out"
    result = call(tiny_bundle, "--list", sentences, "--out", out, "--language", "en")
    assert result.exit_code == 0, result.output
    assert "nearest to its own voice (resemblyzer)" in result.output
    assert "pip install 'gsv2[judges]'" in result.output
    assert "median" in result.output
    report = json.loads((out / "evaluation.json").read_text())
    assert report["num_sentences"] == 3
    assert report["figures"]["all"]["rate"]["recording"]["num_sentences"] == 1
    assert (out / "index.html").is_file()
    assert (out / "sentences" / "u1.resynthesis.wav").is_file()


def test_a_few_sentences_without_judges(tiny_bundle, sentences, tmp_path):
    options = ["--recognizer", "none", "--speaker-encoder", "none", "--first", "2"]
    result = call(tiny_bundle, "--list", sentences, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "own voice" not in result.output
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["num_sentences"] == 2


def test_a_bad_line_or_judge_is_one_line(tiny_bundle, sentences, tmp_path):
    result = call(tiny_bundle, "--list", sentences, "--out", tmp_path, "--recognizer", "ears")
    assert result.exit_code == 1
    assert "a recogniser must be" in result.output
    sentences.write_text("u1|Hello.\n")
    result = call(tiny_bundle, "--list", sentences, "--out", tmp_path)
    assert result.exit_code == 1
    assert "line 1: must have 4 to 7 fields" in result.output


def test_two_ranks_write_what_one_does(tiny_bundle, sentences, tmp_path, forked_runs):
    options = ["--recognizer", "none", "--list", sentences]
    two = [tiny_bundle, *options, "--out", tmp_path / "two"]
    finish(forked_runs.start_ranks(tmp_path, "evaluation", *two))
    result = call(tiny_bundle, *options, "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    one, two = (
        json.loads((tmp_path / name / "evaluation.json").read_text())["figures"]["all"]
        for name in ("one", "two")
    )
    assert one.pop("real_time_factor").keys() == two.pop("real_time_factor").keys()
    assert one == two
