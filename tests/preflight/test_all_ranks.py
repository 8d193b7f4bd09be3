from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gsv2.preflight.all_ranks import check_all_ranks
from gsv2.preflight.report import Finding
from gsv2.training.distributed.ranks import Distributed
from tests.support.real_stages import MODELS


@pytest.fixture
def config(tmp_path: Path, tiny_corpus: Any) -> Path:
    values = {
        "stage": "quantizer",
        "run": {"dir": str(tmp_path / "runs"), "name": "run"},
        "data": {"sources": [{"path": str(tiny_corpus.path)}], "lanes": 2, "max_frames": 150},
        "model": MODELS["quantizer"],
        "trainer": {"max_steps": 3},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def look(config: Path, ranks: Distributed, *overrides: str) -> dict[str, Finding]:
    return {found.name: found for found in check_all_ranks(config, overrides, ranks)}


def test_a_run_that_is_ready_leaves_no_trace(config: Path, distributed: Distributed) -> None:
    found = look(config, distributed)
    assert [each for each in found.values() if each.status == "fail"] == []
    assert {"code", "versions", "config", "lanes", "run folder", "clocks"} <= found.keys()
    assert not (config.parent / "runs").exists()


def test_a_config_that_cannot_be_read_leaves_the_rest_to_see(
    config: Path, distributed: Distributed
) -> None:
    found = look(config, distributed, "data.max_frame=3")
    assert found["config file"].status == "fail"
    assert "max_frame" in found["config file"].detail
    assert found["versions"].status == "ok"
    assert "run folder" not in found


def test_layouts_that_do_not_fit_are_named(config: Path, distributed: Distributed) -> None:
    found = look(config, distributed, "data.workers=3")
    assert found["lanes"].status == "fail"
    assert "data.lanes (2)" in found["lanes"].detail


@pytest.mark.parametrize(
    ("override", "name", "reason"),
    [
        ("trainer.validate_every_steps=5", "sections", "without data.validation"),
        ("engines={gtp: {kind: ddp}}", "names", "engines.gtp: no such trainable"),
        ("precision.quantizer=bf16", "model", "half precision flips codes"),
    ],
)
def test_what_would_stop_the_run_at_its_first_step_is_found(
    config: Path, distributed: Distributed, override: str, name: str, reason: str
) -> None:
    found = look(config, distributed, override)[name]
    assert found.status == "fail"
    assert reason in found.detail


def test_little_room_for_runs_is_warned_of(
    config: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(config, distributed)["disk"].detail.endswith("GiB free in run.dir")
    monkeypatch.setattr("gsv2.preflight.run_checks.free_bytes", lambda folder: 2**30)
    assert look(config, distributed)["disk"].status == "warn"


def test_the_config_is_compared_with_its_overrides(config: Path, distributed: Distributed) -> None:
    first, same = look(config, distributed), look(config, distributed)
    other = look(config, distributed, "seed=5")
    assert first["config"] == same["config"] != other["config"]
