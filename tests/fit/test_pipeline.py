"""What a fit is asked for, and how its time is shared out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gsv2.fit import pipeline
from gsv2.fit.pipeline import SHARES, SHARES_SIDE_BY_SIDE, FitSettings, encoders_alone, open_journal
from gsv2.training.threads import ThreadChoice


def settings(out: Path, **changes: Any) -> FitSettings:
    return replace(FitSettings(corpus=Path("corpus"), out=out, minutes=3.0), **changes)


def test_the_shares_are_of_the_whole_time() -> None:
    for shares in (SHARES, SHARES_SIDE_BY_SIDE):
        assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_no_time_is_refused_before_anything_is_written(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(ValueError, match="the minutes must be above 0"):
        open_journal(settings(tmp_path / "out", minutes=minutes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"corpus": Path("other")},
        {"held_out": Path("other")},
        {"leave_out": Path("list.jsonl")},
        {"minutes": 4.0},
        {"seed": 1},
    ],
)
def test_a_folder_of_another_fit_is_refused_and_its_arguments_are_named(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    open_journal(settings(tmp_path)).run("quantizer", lambda: None)
    assert open_journal(settings(tmp_path)).finished == ["quantizer"]
    with pytest.raises(ValueError, match=r"minutes 3\.0, seed 0.*choose another --out"):
        open_journal(settings(tmp_path, **changed))


@pytest.mark.parametrize(
    ("asked", "cuda", "cores", "is_double"),
    [
        (None, False, 2, True),
        (None, False, 1, False),
        (None, True, 8, False),
        (True, True, 1, True),
        (False, False, 8, False),
    ],
)
def test_chains_are_side_by_side_on_a_cpu_of_two_cores_unless_told_otherwise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: Any,
    cuda: Any,
    cores: Any,
    is_double: Any,
) -> None:
    monkeypatch.setattr(pipeline.torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(pipeline, "num_cores", lambda: cores)
    assert pipeline._is_side_by_side(settings(tmp_path, side_by_side=asked)) is is_double


@pytest.mark.parametrize(("cuda", "cores", "threads"), [(False, 8, 3), (False, 1, 3), (True, 8, 4)])
def test_a_chain_computes_by_what_pays_of_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, cores: int, threads: int
) -> None:
    limits: list[int] = []

    def choose(last: int | None, *, limit: int) -> ThreadChoice:
        limits.append(limit)
        return ThreadChoice(threads=3, reason="three are fastest")

    monkeypatch.setattr(pipeline.torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(pipeline, "num_cores", lambda: cores)
    monkeypatch.setattr(pipeline, "choose_threads", choose)
    assert pipeline._chain_threads() == threads
    assert limits == ([] if cuda else [max(1, cores // 2)])


def test_no_recogniser_judges_unless_asked_for() -> None:
    judges = encoders_alone()
    assert not judges.recognizers
    assert [encoder.name for encoder in judges.encoders] == ["resemblyzer"]
