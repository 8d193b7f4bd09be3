import subprocess
import sys
from pathlib import Path

import numpy as np

from gsv2.audio.wave import save_wave
from gsv2.data.index import CorpusIndex
from gsv2.data.schema import SourceConfig

TOOL = Path(__file__).parents[2] / "data_tools" / "build_shards.py"


def run(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_becomes_a_corpus_and_counts_what_it_rejects(tmp_path):
    folder = tmp_path / "in" / "de" / "eva"
    folder.mkdir(parents=True)
    for number in range(3):
        wave = 0.1 * np.random.default_rng(number).standard_normal(20_000)
        save_wave(folder / f"{number}.wav", wave, 16_000)
        (folder / f"{number}.txt").write_text("Guten Tag" if number else "?!")
    arguments = ("--input", tmp_path / "in", "--format", "folder", "--out", tmp_path / "c")
    made = run(*arguments)
    assert made.returncode == 0, made.stderr
    assert "2 clips" in made.stdout
    assert "rejected 1: no speech in the text" in made.stdout
    index = CorpusIndex.open(SourceConfig(path=str(tmp_path / "c")))
    assert index.strings("speaker").to_pylist() == ["eva", "eva"]
    assert index.numbers("num_samples").tolist() == [40_000, 40_000]
    again = run(*arguments)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


def test_nothing_accepted_is_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    made = run("--input", tmp_path / "in", "--format", "folder", "--out", tmp_path / "c")
    assert made.returncode == 1
    assert "no usable clip" in made.stderr
    assert not (tmp_path / "c").exists()
