"""`gsv2 fit`: its options as the settings of a fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.fit import pipeline
from gsv2.fit.pipeline import FitResult, FitSettings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[FitSettings]:
    """Settings of the fits that were asked for; none is made."""
    found: list[FitSettings] = []

    def fit(settings: FitSettings) -> FitResult:
        found.append(settings)
        return FitResult(bundle=Path("b"), report=Path("r.html"), seconds={})

    monkeypatch.setattr(pipeline, "run_fit", fit)
    return found


def test_every_option_reaches_the_fit(asked: list[FitSettings]) -> None:
    words = "fit corpus gpt.seed=2 vits2.seed=3 --minutes 7 --out o --held-out h --language ko"
    result = CliRunner().invoke(app, [*words.split(), "--seed", "5", "--no-parallel"])
    assert result.exit_code == 0
    assert result.output.split() == ["bundle:", "b", "report:", "r.html"]
    (settings,) = asked
    assert (settings.corpus, settings.out, settings.held_out) == (
        Path("corpus"),
        Path("o"),
        Path("h"),
    )
    assert settings.overrides == ("gpt.seed=2", "vits2.seed=3")
    assert (settings.minutes, settings.language, settings.seed) == (7.0, "ko", 5)
    assert settings.side_by_side is False


def test_what_is_left_out_is_chosen_by_the_fit(asked: list[FitSettings]) -> None:
    assert CliRunner().invoke(app, ["fit", "corpus"]).exit_code == 0
    (settings,) = asked
    assert (settings.minutes, settings.held_out, settings.side_by_side) == (60.0, None, None)
    assert not settings.judges().recognizers


def test_a_recogniser_judges_where_it_is_named(asked: list[FitSettings]) -> None:
    command = ["fit", "corpus", "--recognizer", "whisper:nowhere"]
    assert CliRunner().invoke(app, command).exit_code == 0
    with pytest.raises(ValueError, match="nowhere"):
        asked[0].judges()
