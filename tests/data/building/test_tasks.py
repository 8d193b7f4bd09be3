"""Tasks share a build, and what they make is what one process makes, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building import recordings as reading
from gsv2.data.building.build import build_corpus, encode_share
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.tasks import Task, WorkFiles, parse_task
from gsv2.data.corpus.manifest import CorpusError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tasks") / "in"
    for number in range(7):
        path = root / "en" / f"s{number % 3}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wave(path, 0.1 * np.random.default_rng(number).standard_normal(8_000), 16_000)
        if number != 1:
            path.with_suffix(".txt").write_text(f"hello {number}")
    return root


def content(out: Path) -> dict[Path, bytes]:
    return {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    out = tmp_path_factory.mktemp("whole") / "corpus"
    build_corpus(folder, out)
    return content(out)


def test_three_tasks_in_any_order_make_the_bytes_of_one_process(
    folder, whole, tmp_path, monkeypatch
):
    out = tmp_path / "corpus"
    ended = [encode_share(folder, out, Task(number, 3)) for number in (2, 3, 1)]
    assert ended == [False, False, True]
    monkeypatch.setattr(reading, "load_wave", None)  # nothing is read again
    build_corpus(folder, out)
    assert content(out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_build_need_not_wait_for_all_tasks_and_two_workers_make_the_same(folder, whole, tmp_path):
    out = tmp_path / "corpus"
    encode_share(folder, out, Task(1, 3), run=BuildRun(workers=1))
    build_corpus(folder, out, run=BuildRun(workers=2))
    assert content(out) == whole
    with pytest.raises(CorpusError, match="exists already"):
        encode_share(folder, out, Task(1, 3))


def test_tasks_are_named_by_number_and_count():
    assert parse_task("2/3") == Task(2, 3)
    assert list(Task(2, 3).share(range(8))) == [1, 4, 7]
    for wrong in ("0/3", "4/3", "2", "2/3/4", "a/b"):
        with pytest.raises(ValueError, match="a task must be I/N"):
            parse_task(wrong)


def test_files_of_another_corpus_are_left_alone(tmp_path):
    mine, other = WorkFiles(tmp_path / "a", Task(1, 2)), WorkFiles(tmp_path / "ab", Task(1, 2))
    for files in (mine, other):
        files.journal.touch()
        files.cuts.touch()
        files.finish()
    assert WorkFiles(tmp_path / "a").all_journals == [mine.journal]
    assert WorkFiles(tmp_path / "a").all_cuts == [mine.cuts]
    assert not mine.are_finished(2)
    mine.remove()
    assert {path.name for path in tmp_path.iterdir()} == {
        ".ab.encoded-1-of-2", ".ab.cuts-1-of-2", ".ab.encoded-1-of-2.done"
    }  # fmt: skip
