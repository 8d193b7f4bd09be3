from pathlib import Path

import pytest

from gsv2.config import load_config
from gsv2.data.config import SourceConfig
from gsv2.fit.corpus import FitCorpora
from gsv2.fit.runs import STAGES, FitRuns
from gsv2.quickstart import pipeline
from gsv2.quickstart.pipeline import run_quickstart
from gsv2.stages import SCHEMAS


class SpokenAgain(Exception):
    """A corpus would be made."""


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5])
def test_a_scale_outside_its_range_is_refused(tmp_path, scale):
    with pytest.raises(ValueError, match="scale must lie in"):
        run_quickstart(tmp_path, scale=scale)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"scale": 0.25}])
def test_other_arguments_are_refused_before_the_corpus_is_replaced(tmp_path, monkeypatch, changed):
    def speak(*_args, **_kwargs):
        raise SpokenAgain

    monkeypatch.setattr(pipeline, "make_demo_corpus", speak)
    arguments = {"seed": 1, "scale": 0.5}
    with pytest.raises(SpokenAgain):
        run_quickstart(tmp_path, **arguments)
    settings = {
        "corpus": str((tmp_path / "corpus" / "train").resolve()),
        "held_out": str((tmp_path / "corpus" / "heldout").resolve()),
        "minutes": pipeline.FIT_MINUTES * 0.5,
        "seed": 1,
    }
    pipeline.open_journal(  # as run_fit leaves it
        pipeline.FitSettings(
            corpus=Path(settings["corpus"]),
            held_out=Path(settings["held_out"]),
            out=tmp_path,
            minutes=settings["minutes"],
            seed=1,
        )
    ).run("quantizer", lambda: None)
    with pytest.raises(ValueError, match="choose another --out or delete the folder"):
        run_quickstart(tmp_path, **{**arguments, **changed})


@pytest.mark.parametrize("stage", STAGES)
def test_the_runs_are_where_the_debug_configs_look_for_them(stage):
    """So that every command of the README works after the quickstart."""
    out = Path("runs/quickstart")
    corpora = FitCorpora(
        train=SourceConfig(path=str(out / "corpus" / "train")),
        held_out=SourceConfig(path=str(out / "corpus" / "heldout")),
    )
    runs = FitRuns(out=out, corpora=corpora, seed=0)
    config = load_config(runs.config_file(stage), [], SCHEMAS)
    assert config.run.folder == runs.folder(stage)
    of_fit = corpora if stage == "quantizer" else corpora.with_codes(out)
    assert config.data.sources == [of_fit.train]
    assert config.data.validation == [of_fit.held_out]
    if stage != "quantizer":
        assert config.model.quantizer == str(runs.folder("quantizer"))
    if stage == "gpt":
        assert config.model.aligner == str(runs.folder("aligner"))
