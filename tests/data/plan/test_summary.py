from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, unweighted_plan
from gsv2.data.plan.summary import summarise

AUDIO = ("audio",)


def config_of(*sources: SourceConfig, **values: Any) -> DataConfig:
    defaults = {"lanes": 2, "micro_batches_per_step": 3, "window_mb": 0.1}
    limits = {} if "max_tokens" in values else {"max_frames": 200}
    return DataConfig(sources=list(sources), **{**defaults, **limits, **values})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, make_corpus: Any) -> SourceConfig:
    """30 clips of en and zh, 1 to 6 of a speaker together, some longer than a second."""
    path: Path = tmp_path_factory.mktemp("summary") / "corpus"
    return SourceConfig(path=str(make_corpus(path, 30, num_speakers=5, seconds=(0.5, 1.3))))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"max_clip_sec": 1.0, "max_clips": 6, "max_seconds": 5.0},
        {"batching": "pack", "max_tokens": 400, "row_tokens": 200},
    ],
)
def test_the_figures_are_those_of_a_plain_count(
    corpus: SourceConfig, values: dict[str, Any]
) -> None:
    index = CorpusIndex.open(corpus)
    plan = Plan(index, config_of(corpus, **values), 0, AUDIO)
    languages, seconds = index.strings("language").to_pylist(), index.numbers("duration_sec")
    items = list(plan.single_pass())
    sequences = [rows for item in items for rows in item.sequences]
    summary = summarise(plan).to_plain()
    for name, part in summary["languages"].items():
        own = [rows for rows in sequences if languages[rows[0]] == name]
        clips = [row for rows in own for row in rows]
        assert part["clips"] == len(clips)
        assert part["left_out"] == languages.count(name) - len(clips)
        assert part["hours"] == pytest.approx(sum(seconds[row] for row in clips) / 3600)
        lengths = Counter(min(len(rows), 5) for rows in own)
        kinds = {"5+" if n == 5 else str(n): lengths[n] / len(own) for n in range(1, 6)}
        assert (part["sequences"], part["sequence_share"]) == (len(own), kinds)
    total = summary["total"]
    assert total["clips"] == sum(len(rows) for rows in sequences)
    assert (total["micro_batches"], total["steps"]) == (len(items), len(items) / 3)
    padded = sum(item.tokens / (1 - item.padding) for item in items)
    assert 1 - total["padding_share"] == pytest.approx(sum(i.tokens for i in items) / padded)
    for key in ("clips", "left_out", "sequences", "hours", "micro_batches", "steps"):
        parts = sum(part[key] for part in summary["languages"].values())
        assert parts == pytest.approx(total[key])


def test_clips_are_left_out_by_reason(corpus: SourceConfig) -> None:
    index = CorpusIndex.open(corpus)
    plan = Plan(index, config_of(corpus, max_clip_sec=1.0, min_clip_sec=0.6), 0, AUDIO)
    seconds = index.numbers("duration_sec")
    summary = summarise(plan)
    assert summary.left_out == {
        "shorter than data.min_clip_sec": (seconds < 0.6).sum(),
        "longer than data.max_clip_sec": (seconds > 1.0).sum(),
    }
    assert summary.total.left_out == sum(summary.left_out.values())


def test_a_mixture_is_summarised_as_one_pass_with_its_shares(corpus: SourceConfig) -> None:
    sources = [replace(corpus, weight=weight) for weight in (1.0, 3.0)]
    index = CorpusIndex.open(*sources)
    plan = Plan(index, config_of(*sources), 0, AUDIO)
    summary = summarise(plan)
    natural = unweighted_plan(index, plan.config, 0, AUDIO)
    assert summary.languages == summarise(natural).languages
    assert summary.total.clips == 60
    assert [part.share for part in summary.mixture] == pytest.approx([0.25, 0.75])
    assert [part.epochs for part in summary.mixture] == pytest.approx([0.5, 1.5])
