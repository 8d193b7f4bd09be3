from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from gsv2.training.run_folder.folder import RunFolder, free_bytes
from tests.support.toy_stage import toy_config


def test_a_run_folder_says_what_runs_and_where(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "a")
    folder.create(toy_config(tmp_path), world=2, device=torch.device("cpu"))
    config = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 6
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert (environment["ranks"], environment["device"]) == (2, "cpu")


def test_what_earlier_launches_ran_in_stays(tmp_path: Path) -> None:
    """Three launches on two ranks, of which the first noted something, and one on four."""
    folder = RunFolder(tmp_path / "run")
    for number, world in enumerate((2, 2, 2, 4)):
        folder.create(toy_config(tmp_path), world=world, device=torch.device("cpu"))
        if number == 0:
            folder.note("precision", [])
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["ranks"] == 4
    assert [record["ranks"] for record in environment["earlier"]] == [2, 2]
    assert ["precision" in record for record in environment["earlier"]] == [True, False]
    assert not any("earlier" in record for record in environment["earlier"])
    assert {"deepspeed", "numpy", "safetensors"} <= environment["packages"].keys()


@pytest.mark.parametrize("damaged", ['{"ranks": ', "[1]"])
def test_a_damaged_environment_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str
) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "environment.json").write_text(damaged)
    folder.create(toy_config(tmp_path), world=1, device=torch.device("cpu"))
    assert json.loads((tmp_path / "environment.json").read_text())["earlier"] == []
    assert "environment.json is damaged" in caplog.text


def test_the_threads_of_the_last_launch_are_those_of_one_process_on_a_cpu(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.last_threads() is None
    folder.create(toy_config(tmp_path), world=1, device=torch.device("cpu"))
    assert folder.last_threads() == torch.get_num_threads()
    for key, value in (("ranks", 2), ("device", "NVIDIA H200"), ("threads", "2"), ("threads", 0)):
        record = {"ranks": 1, "device": "cpu", "threads": 2, key: value}
        (folder.path / "environment.json").write_text(json.dumps(record))
        assert folder.last_threads() is None, record
    (folder.path / "environment.json").write_text("{")
    assert folder.last_threads() is None


def test_free_room_is_that_of_the_disk_where_a_folder_will_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_a_note_joins_the_environment(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "environment.json").write_text('{"ranks": 2}\n')
    folder.note("precision", [{"module": "gpt"}])
    text = (tmp_path / "environment.json").read_text()
    assert json.loads(text) == {"ranks": 2, "precision": [{"module": "gpt"}]}
