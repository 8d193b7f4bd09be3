from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gsv2.fit import steps
from gsv2.fit.budget import TimeBudget
from gsv2.fit.corpus import choose_corpora
from gsv2.fit.journal import Journal
from gsv2.fit.runs import FitRuns
from gsv2.fit.steps import FitSteps, num_shifts


@pytest.mark.parametrize(
    ("gpt_sec", "hours", "count"),
    [
        (200, 1.0, 0),  # the quickstart
        (420, 0.78, 0),
        (1266, 0.78, 3),  # 40 minutes on 47 of speech
        (1266, 2.0, 0),
        (3600, 2.0, 3),
        (1900, 2.0, 1),
        (60, 0.0, 3),
    ],
)
def test_codes_are_made_again_where_the_gpt_would_learn_them_by_heart(
    gpt_sec: float, hours: float, count: int
) -> None:
    assert num_shifts(gpt_sec, hours) == count


@pytest.mark.parametrize("used_sec", [0.0, 5.0])
def test_frames_are_shifted_by_equal_parts_of_one_unless_the_gpt_has_begun(
    tiny_corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used_sec: float
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        steps,
        "extract_codes",
        lambda path, _, out, *rest: calls.append((path, out, rest[-1].shift_samples)),
    )
    monkeypatch.setattr(
        steps, "align_corpus", lambda path, out, *_, **__: calls.append((path, out))
    )
    manifest = SimpleNamespace(hours=1e-3, code_rate_hz=25.0)
    monkeypatch.setattr(steps, "read_manifest", lambda _: manifest)
    monkeypatch.setattr(FitRuns, "used_sec", lambda *_: used_sec)
    runs = FitRuns(out=tmp_path, corpora=choose_corpora(tiny_corpus.path, None), seed=0)
    budget = TimeBudget(total_sec=60.0, weights={"gpt": 1.0})
    FitSteps(runs, Journal.open(tmp_path / "fit.json", {}), budget).do("shifted codes")
    expected: list[tuple[Any, ...]] = []
    for number, shift in ((1, 320), (2, 640), (3, 960)):  # of frames of 1280 samples
        out = tmp_path / "codes_shifted" / str(number)
        expected += [(tiny_corpus.path, out, shift), (tiny_corpus.path, out)]
    assert calls == ([] if used_sec else expected)
