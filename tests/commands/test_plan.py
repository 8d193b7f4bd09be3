from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gsv2.commands.plan import check_run, describe_check, open_plan, summary_notes, summary_table
from gsv2.data.plan.summary import MixtureShare, PartSummary, Summary
from gsv2.training.run_folder.records import append_records


def test_figures_of_a_large_corpus_fit_a_line() -> None:
    part = PartSummary(
        clips=98_765_432,
        seconds=3600.0 * 123_456,
        left_out=1_234_567,
        sequences=[0, 0, 0, 0, 45_678_901],
        micro_batches=7_654_321,
        tokens=99,
        padded_tokens=100,
    )
    languages = {name: part for name in ("en", "zh-Hant")}
    reasons = {"longer than data.max_clip_sec": 2_469_134}
    summary = Summary(lanes=8, micro_batches_per_step=1, languages=languages, left_out=reasons)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(summary_table(summary.to_plain()))
    rows = [line.split() for line in console.export_text().splitlines() if "%" in line]
    assert rows[0] == [
        "en", "98765432", "123456.00", "1234567", "45678901",
        "0%", "0%", "0%", "0%", "100%", "7654321", "7654321", "1.0%",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["en", "zh-Hant", "total"]
    assert rows[2][1] == "197530864"


def test_reasons_and_parts_of_a_mixture_have_a_line_each() -> None:
    summary = Summary(
        lanes=1,
        micro_batches_per_step=1,
        languages={},
        left_out={"no codes in the corpus": 3},
        mixture=[MixtureShare("studio", 0.75, 1.5)],
    )
    assert list(summary_notes(summary.to_plain())) == [
        "left out: 3 clips, no codes in the corpus",
        "mixture: 75.0% from studio, 1.50 epochs of it in one of all",
    ]


def test_a_run_is_compared_with_the_plan_of_its_config(tmp_path: Path, tiny_corpus: Any) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"stage: quantizer\nrun: {{name: x, dir: {tmp_path}}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}}}], max_frames: 200, lanes: 2}}\n"
    )
    run, plan = open_plan(config, ["seed=7"])
    assert (run.seed, plan.seed, plan.members) == (7, 7, ("audio",))
    with pytest.raises(ValueError, match=r"metrics\.jsonl does not exist"):
        check_run(plan, tmp_path)
    append_records(tmp_path / "metrics.jsonl", [{"step": 1}])
    assert list(check_run(plan, tmp_path)) == []


def test_a_pointers_plan_holds_codes_that_are_aligned_as_they_are_read(
    tmp_path: Path, tiny_corpus: Any
) -> None:
    """No aligner is there to be asked, and none is: the plan is what a run would read."""
    config = tmp_path / "run.yaml"
    config.write_text(
        f"stage: gpt\nrun: {{name: x, dir: {tmp_path}}}\ntrainer: {{max_steps: 1}}\n"
        f"data: {{sources: [{{path: {tiny_corpus.path}, codes: {tiny_corpus.codes}}}], lanes: 2, "
        "max_tokens: 400}\nmodel: {quantizer: nowhere, aligner: nowhere, gpt: {reading: both}}\n"
    )
    _, plan = open_plan(config, [])
    assert (plan.members, plan.num_clips, plan.left_out) == (("codes", "align"), 12, {})


def test_a_check_with_nothing_to_compare_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gsv2.commands.plan.check_run", lambda plan, run: iter(()))
    lines, is_equal = describe_check(None, tmp_path)  # type: ignore[arg-type]  # no plan is looked at
    assert lines == [f"{tmp_path}: no lane has finished an epoch yet: nothing to compare"]
    assert is_equal
