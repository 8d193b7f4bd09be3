"""The page says what the corpus holds and loads nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gsv2.audio.wave import save_wave
from gsv2.data.building.build import build_corpus
from gsv2.data.building.build_run import BuildRun
from gsv2.data.building.checks import CheckConfig
from gsv2.data.building.intake import IntakeConfig
from gsv2.data.building.split import SplitConfig
from gsv2.data.building.staging import is_split
from gsv2.data.building.statistics import read_statistics
from gsv2.data.building.text_rate import TextRateConfig
from gsv2.evaluation.corpus_page import summary_rows, write_corpus_page
from tests.support.html_page import Page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "in" / "en" / f"<s{number % 7}>" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        loud = 0.1 * np.maximum(np.sin(np.arange(16_000) / 600), 0)
        save_wave(path, loud * rng.standard_normal(16_000), 16_000)
        path.with_suffix(".txt").write_text(f"hello & number {number}" if number else "?")
    return tmp_path / "in"


def test_a_build_ends_with_a_page_on_which_what_was_left_out_is_heard(folder, tmp_path):
    out = tmp_path / "c"
    build_corpus(folder, out, run=BuildRun(report=write_corpus_page))
    page = Page((out / "report.html").read_text())
    assert all(source.startswith("data:") for source in page.sources)
    assert sum(source.startswith("data:audio/mpeg") for source in page.sources) == 1
    assert "no speech in the text" in page.text
    assert "<s3>" in page.text
    assert {"train", "suspects", "rejects"} <= set(page.ids)
    assert all(anchor.removeprefix("#") in page.ids for anchor in page.anchors)
    assert "Duration, s" in page.text
    assert ("Duration, s", "1.25") in summary_rows(read_statistics(out))


def test_a_split_corpus_has_one_page_and_can_be_replaced(folder, tmp_path):
    out = tmp_path / "c"
    intake = IntakeConfig(
        text_rate=TextRateConfig(), checks=CheckConfig(), split=SplitConfig(validation=0.3)
    )
    for overwrite in (False, True):
        run = BuildRun(report=write_corpus_page, overwrite=overwrite)
        build_corpus(folder, out, intake=intake, run=run)
        assert is_split(out)
    page = Page((out / "report.html").read_text())
    assert {"train", "validation"} <= set(page.ids)


def test_a_corpus_of_others_has_no_page(folder, tmp_path):
    build_corpus(folder, tmp_path / "c")
    (tmp_path / "c" / "statistics.json").unlink()
    with pytest.raises(ValueError, match=r"has no statistics\.json"):
        write_corpus_page(tmp_path / "c")
    with pytest.raises(ValueError, match="is no corpus"):
        write_corpus_page(tmp_path / "none")
