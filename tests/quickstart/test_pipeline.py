import json
from pathlib import Path

import pytest

from gsv2.config import load_config
from gsv2.quickstart.pipeline import CONFIGS, STAGES, Journal, run_quickstart, stage_overrides
from gsv2.stages import SCHEMAS


def test_a_step_keeps_the_time_of_the_call_that_did_it(tmp_path):
    journal = Journal.open(tmp_path, seed=1, scale=0.5)
    journal.run("corpus", lambda: None)
    first = journal.seconds["corpus"]
    again = Journal.open(tmp_path, seed=1, scale=0.5)
    again.run("corpus", lambda: None)
    again.run("gpt", lambda: None)
    assert again.seconds["corpus"] == first
    assert list(json.loads((tmp_path / "quickstart.json").read_text())["seconds"]) == [
        "corpus",
        "gpt",
    ]


def test_a_step_that_fails_is_not_noted(tmp_path):
    journal = Journal.open(tmp_path, seed=1, scale=0.5)

    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        journal.run("corpus", fail)
    assert Journal.open(tmp_path, seed=1, scale=0.5).seconds == {}


@pytest.mark.parametrize(("seed", "scale"), [(2, 0.5), (1, 1.0)])
def test_other_arguments_are_refused_and_named(tmp_path, seed, scale):
    Journal.open(tmp_path, seed=1, scale=0.5).run("corpus", lambda: None)
    with pytest.raises(ValueError, match=r"holds a quickstart of seed 1 and scale 0\.5"):
        Journal.open(tmp_path, seed=seed, scale=scale)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5])
def test_a_scale_outside_its_range_is_refused(tmp_path, scale):
    with pytest.raises(ValueError, match="scale must lie in"):
        run_quickstart(tmp_path, scale=scale)


@pytest.mark.parametrize("stage", STAGES)
def test_debug_configs_follow_the_folder_whatever_its_name(stage, tmp_path):
    out = tmp_path / "a folder: with, [odd] {names} = #1"
    path = CONFIGS / stage / "debug.yaml"
    config = load_config(path, stage_overrides(stage, out, 7, 0.1), SCHEMAS)
    assert config.data.sources[0].path == str(out / "corpus" / "train")
    assert config.data.validation[0].path == str(out / "corpus" / "heldout")
    assert config.run.dir == str(out)
    assert config.seed == 7
    full = load_config(path, stage_overrides(stage, out, 7, 1.0), SCHEMAS)
    assert config.trainer.max_steps == round(full.trainer.max_steps * 0.1)


@pytest.mark.parametrize("stage", [*STAGES, "joint"])
def test_the_default_folder_is_that_of_the_debug_configs(stage):
    """So that every command of the README works after the quickstart."""
    path = CONFIGS / stage / "debug.yaml"
    moved = load_config(path, stage_overrides(stage, Path("runs/quickstart"), 0, 1.0), SCHEMAS)
    assert moved == load_config(path, [], SCHEMAS)
