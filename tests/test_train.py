from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError
from gsv2.train import _run, main
from gsv2.training.checkpoints.checkpoint import CheckpointMismatchError, find_component
from gsv2.training.run_folder.records import read_records

STEPS = 2


@pytest.fixture
def config(tmp_path: Path, tiny_corpus: Any) -> Path:
    """The smallest quantizer run on the shared corpus."""
    source = [{"path": str(tiny_corpus.path)}]
    values = {
        "stage": "quantizer",
        "run": {"dir": str(tmp_path / "runs"), "name": "q"},
        "data": {"sources": source, "validation": source, "lanes": 2, "max_frames": 300},
        "model": {
            "codes": {"codebook_size": 16, "dim": 8},
            "width": 8,
            "num_blocks": 1,
            "kernel_size": 3,
        },
        "trainer": {"max_steps": STEPS, "log_every_steps": 1},
        "tracking": {"progress": False, "samples": 0},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_config_becomes_a_run_folder_that_goes_on_where_it_stopped(config: Path) -> None:
    run = main(config, ["tracking.samples=1"])
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "corpora.json", "environment.json", "status.json", "metrics.jsonl",
        "checkpoints", "samples",
    }  # fmt: skip
    assert find_component(run, "quantizer").parent.name == "step_00000002"
    assert json.loads((run / "environment.json").read_text())["ranks"] == 1
    rows = read_records(run / "metrics.jsonl")
    assert "validation/quantizer/loss" in rows[-1]

    assert main(run / "config.yaml") == run  # finished: nothing changes
    assert read_records(run / "metrics.jsonl") == rows
    main(config, ["trainer.max_steps=3"])
    assert [row["step"] for row in read_records(run / "metrics.jsonl")] == [1, 2, 3]


def test_a_run_goes_on_with_another_dataset_only_if_that_is_accepted(config: Path) -> None:
    run = main(config)
    longer = ["trainer.max_steps=3", "data.max_frames=200", "data.workers=1"]
    message = (
        r"data\.max_frames is 300 there, but 200 in this run; .*checkpoint\.accept=\[dataset\]"
    )
    with pytest.raises(CheckpointMismatchError, match=message):
        main(config, longer)
    main(config, [*longer, "checkpoint.accept=[dataset]"])
    assert [row["step"] for row in read_records(run / "metrics.jsonl")] == [1, 2, 3]


def test_bad_clips_are_counted_and_named(config: Path, tmp_path: Path, tiny_corpus: Any) -> None:
    corpus = tmp_path / "torn"
    shutil.copytree(tiny_corpus.path, corpus)
    index = CorpusIndex.open(tiny_corpus.source)
    tar = corpus / Path(index.shards[0].tar).relative_to(tiny_corpus.path)
    content = bytearray(tar.read_bytes())
    content[int(index.numbers("audio_offset")[0]) + 900] ^= 1
    tar.write_bytes(content)
    sources = f"data.sources=[{{path: {corpus}}}]"
    run = main(config, [sources, "data.max_bad_fraction=0.5", "trainer.max_steps=6"])
    bad = read_records(run / "quarantine.jsonl")
    assert {clip["key"] for clip in bad} == {index.key(0)}
    assert read_records(run / "metrics.jsonl")[-1]["data/bad_clips"] == len(bad)


@pytest.mark.parametrize("section", ["sources", "validation"])
def test_a_tar_that_is_missing_stops_a_run_before_its_first_step(
    config: Path, tmp_path: Path, tiny_corpus: Any, section: str
) -> None:
    corpus = tmp_path / "torn"
    shutil.copytree(tiny_corpus.path, corpus)
    tar = sorted(corpus.rglob("*.tar"))[-1]
    tar.unlink()
    with pytest.raises(CorpusError, match=f"shard {tar} is missing"):
        main(config, [f"data.{section}=[{{path: {corpus}}}]"])
    assert not (tmp_path / "runs" / "q" / "metrics.jsonl").exists()


def test_every_row_says_how_long_data_was_waited_for_and_how_much_was_padding(
    config: Path,
) -> None:
    for row in read_records(main(config) / "metrics.jsonl"):
        assert 0.0 <= row["data/wait_share"] <= 1.0
        assert 0.0 <= row["data/padding_share"] < 1.0
        assert sum(row[f"data/sequence_share/{n}"] for n in ("1", "2", "3", "4", "5+")) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml"], "missing.yaml does not exist"),
        (["CONFIG", "trainer.max_stepz=1"], "max_stepz"),
        (["CONFIG", "trainer.max_steps=soon"], "trainer.max_steps"),
        (
            ["CONFIG", "stage=singer"],
            "stage must be one of aligner, dpo, gpt, joint, quantizer, vits2",
        ),
        (["CONFIG", "data.sources=[{path: nowhere}]"], "nowhere"),
        (["CONFIG", "checkpoint.resume=nowhere"], "no checkpoint at 'nowhere'"),
    ],
)
def test_errors_are_one_line_without_a_traceback(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert _run([str(config) if word == "CONFIG" else word for word in arguments]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in errors[0]


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        _run(["missing.yaml", "--debug"])
