from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gsv2.config import load_config
from gsv2.fit.corpus import choose_corpora
from gsv2.fit.runs import MAX_CLIP_SEC, STAGES, FitRuns
from gsv2.stages import SCHEMAS
from gsv2.training.checkpoints.checkpoint import checkpoint_folder
from gsv2.training.checkpoints.snapshot import FORMAT_VERSION


def make_runs(out: Path, corpus: Path, **options: Any) -> FitRuns:
    return FitRuns(out=out, corpora=choose_corpora(corpus, None), seed=7, **options)


def config_of(runs: FitRuns, stage: str, seconds: float = 90.0) -> Any:
    return load_config(runs.config_file(stage), runs.stage_overrides(stage, seconds), SCHEMAS)


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_ends_by_time_and_follows_the_folder_whatever_its_name(
    tiny_corpus: Any, tmp_path: Path, stage: str
) -> None:
    out = tmp_path / "a folder: with, [odd] {names} = #1"
    config = config_of(make_runs(out, tiny_corpus.path), stage)
    assert (config.trainer.max_steps, config.trainer.max_minutes) == (0, 1.5)
    assert config.run.folder == out / stage
    assert config.seed == 7
    assert config.data.micro_batches_per_step == 1
    train, held_out = config.data.sources[0], config.data.validation[0]
    assert (train.part, held_out.part) == ("train", "heldout")
    assert train.held_out_share == held_out.held_out_share > 0
    assert train.codes == (None if stage == "quantizer" else str(out / "codes" / "train"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_size_chooses_among_the_shipped_configs(
    tiny_corpus: Any, tmp_path: Path, stage: str
) -> None:
    runs = make_runs(tmp_path, tiny_corpus.path, size="small")
    assert runs.config_file(stage).parts[-2:] == (stage, "small.yaml")
    assert config_of(runs, stage).run.folder == tmp_path / stage
    with pytest.raises(ValueError, match="the size must be debug or small, but is 'huge'"):
        make_runs(tmp_path, tiny_corpus.path, size="huge")


def test_the_gpt_alone_learns_from_shifted_codes_too(tiny_corpus: Any, tmp_path: Path) -> None:
    runs = make_runs(tmp_path, tiny_corpus.path)
    for number in (1, 2, 4):  # the third was not finished
        shutil.copytree(tiny_corpus.path, tmp_path / "codes_shifted" / str(number))
    sources = config_of(runs, "gpt").data.sources
    folders = ["codes/train", "codes_shifted/1", "codes_shifted/2"]
    assert [source.codes for source in sources] == [str(tmp_path / name) for name in folders]
    assert {source.path for source in sources} == {str(tiny_corpus.path)}
    assert {source.part for source in sources} == {"train"}
    assert len(config_of(runs, "aligner").data.sources) == 1


def test_the_users_words_are_the_last(tiny_corpus: Any, tmp_path: Path) -> None:
    words = ("gpt.trainer.max_minutes=9", "vits2.optim.generator.lr=1e-5")
    runs = make_runs(tmp_path, tiny_corpus.path, overrides=words)
    assert config_of(runs, "gpt").trainer.max_minutes == 9
    assert config_of(runs, "vits2").optim["generator"].lr == 1e-5
    assert config_of(runs, "aligner").trainer.max_minutes == 1.5


@pytest.mark.parametrize("override", ["trainer.max_steps=3", "gtp.seed=3", "gpt.seed"])
def test_an_override_without_a_stage_is_refused(
    tiny_corpus: Any, tmp_path: Path, override: str
) -> None:
    with pytest.raises(ValueError, match=r"must be STAGE\.section\.key=value") as refusal:
        make_runs(tmp_path, tiny_corpus.path, overrides=(override,))
    assert override in str(refusal.value)


def test_a_key_that_no_config_has_fails_before_anything_is_trained(
    tiny_corpus: Any, tmp_path: Path
) -> None:
    runs = make_runs(tmp_path, tiny_corpus.path, overrides=("gpt.trainer.max_step=3",))
    with pytest.raises(ValueError, match="max_step"):
        runs.stage_overrides("gpt", 9.0)


def test_long_clips_fit_into_the_budgets(tiny_corpus: Any, tmp_path: Path) -> None:
    for longest, frames in ((5.0, 1000), (60.0, 1000)):
        config = config_of(make_runs(tmp_path, tiny_corpus.path, longest_sec=longest), "quantizer")
        assert config.data.max_frames == frames
        assert config.data.max_clip_sec == MAX_CLIP_SEC


def test_the_waveform_is_learnt_from_excerpts_of_all_clips(
    tiny_corpus: Any, tmp_path: Path
) -> None:
    for longest in (5.0, 12.0, 170.0):
        config = config_of(make_runs(tmp_path, tiny_corpus.path, longest_sec=longest), "vits2")
        assert config.data.max_frames == 300
        assert config.data.max_clip_sec == max(longest, MAX_CLIP_SEC)
        assert config.data.excerpt_sec == 4.0


def test_a_small_corpus_has_small_codebooks(tiny_corpus: Any, tmp_path: Path) -> None:
    config = config_of(make_runs(tmp_path, tiny_corpus.path), "quantizer")
    assert config.model.codes.codebook_size == 256


def test_the_time_of_a_killed_run_is_that_of_its_newest_checkpoint(
    tiny_corpus: Any, tmp_path: Path
) -> None:
    runs = make_runs(tmp_path, tiny_corpus.path)
    assert runs.used_sec("gpt") == 0.0
    for step, seconds in ((10, 3.5), (20, 7.25)):
        folder = checkpoint_folder(runs.folder("gpt"), step)
        folder.mkdir(parents=True)
        values = {"format_version": FORMAT_VERSION, "run": {"time_sec": seconds}}
        (folder / "state.json").write_text(json.dumps(values))
    assert runs.used_sec("gpt") == 7.25
