import importlib.util
from pathlib import Path

import numpy as np
import typer
from typer.testing import CliRunner

from gsv2.audio.wave import save_wave
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from tests.support.layouts import LAYOUTS
from tests.support.said import SAID

TOOL = Path(__file__).parents[2] / "data_tools" / "build_shards.py"


def run(*arguments):
    spec = importlib.util.spec_from_file_location("build_shards", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    app = typer.Typer()
    app.command()(tool.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_folder_becomes_a_corpus_and_counts_what_it_rejects(tmp_path):
    folder = tmp_path / "in" / "de" / "eva"
    folder.mkdir(parents=True)
    for number in range(3):
        wave = 0.1 * np.random.default_rng(number).standard_normal(20_000)
        save_wave(folder / f"{number}.wav", wave, 16_000)
        (folder / f"{number}.txt").write_text("Guten Tag" if number else "?!")
    arguments = ("--input", tmp_path / "in", "--format", "folder", "--out", tmp_path / "c")
    made = run(*arguments)
    assert made.exit_code == 0, made.stderr
    assert "2 clips" in made.stdout
    assert "rejected 1: no speech in the text" in made.stdout
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    assert index.strings("speaker").to_pylist() == ["eva", "eva"]
    assert index.numbers("num_samples").tolist() == [40_000, 40_000]
    again = run(*arguments)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert isinstance(again.exception, SystemExit)


def test_the_layout_is_told_and_what_it_leaves_open_is_said_by_flags(tmp_path):
    LAYOUTS["table"].write(tmp_path / "in")
    (tmp_path / "in" / "audio").rename(tmp_path / "moved")
    arguments = [
        "--input",
        tmp_path / "in",
        "--out",
        tmp_path / "c",
        "--audio-dir",
        tmp_path / "moved",
    ]
    made = run(*arguments, "--column", "speaker=", "--speaker", "carl", "--column", "language=")
    assert made.exit_code == 1, "nobody says the language"
    made = run(*arguments, "--column", "speaker=", "--speaker", "carl")
    assert made.exit_code == 0, made.stderr
    assert "read as table: mine.csv has columns audio = Path, text = Sentence" in made.stderr
    assert "not used: Age" in made.stderr
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    assert index.strings("speaker").to_pylist() == ["carl"] * len(SAID)
    wrong = run(*arguments, "--column", "text")
    assert wrong.exit_code == 1
    assert "--column must be" in wrong.stderr


def test_nothing_accepted_is_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    made = run("--input", tmp_path / "in", "--format", "folder", "--out", tmp_path / "c")
    assert made.exit_code == 1
    assert "no usable clip" in made.stderr
    assert not (tmp_path / "c").exists()
