from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml

from gsv2.training.telemetry.folder import RunFolder
from tests.training.toy import toy_config


def test_a_run_folder_says_what_runs_and_where(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "a")
    folder.create(toy_config(tmp_path), world=2, device=torch.device("cpu"))
    config = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 6
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert (environment["ranks"], environment["device"]) == (2, "cpu")


def test_a_note_joins_the_environment(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "environment.json").write_text('{"ranks": 2}\n')
    folder.note("precision", [{"module": "gpt"}])
    text = (tmp_path / "environment.json").read_text()
    assert json.loads(text) == {"ranks": 2, "precision": [{"module": "gpt"}]}
