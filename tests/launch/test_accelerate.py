from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig
from accelerate.commands.launch import launch_command_parser

from gsv2.training.engines.deepspeed_config import check_launcher_json, deepspeed_json
from gsv2.training.engines.engine import EngineConfig
from tests.support.processes import ROOT

LAUNCH = ROOT / "launch"
CONFIGS = sorted((LAUNCH / "accelerate").glob("*.yaml"))
DEEPSPEED = sorted((LAUNCH / "deepspeed").glob("*.json"))


def header_command(path: Path) -> list[str]:
    """Return the words of the first command in a file's head."""
    head = path.read_text().replace("\\\n#", " ")
    return shlex.split(re.findall(r"^#\s+(.*accelerate launch .*)$", head, re.MULTILINE)[0])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_accelerate_reads_the_file(path: Path) -> None:
    """Its own reader refuses keys that it does not know."""
    config = ClusterConfig.from_yaml_file(path)
    assert config.num_processes % config.num_machines == 0
    assert config.mixed_precision == "no"
    assert not config.use_cpu, "with it, Accelerate 1.15 silently starts one process"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_command_in_its_head_is_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = header_command(path)
    words = words[words.index("launch") + 1 :]
    numbers = [{"R": "0", "HOST": "localhost"}.get(word, word) for word in words]
    monkeypatch.setattr(sys, "argv", ["accelerate", "launch", *numbers])
    options = launch_command_parser().parse_args(numbers)
    assert options.config_file == f"launch/accelerate/{path.name}"
    assert options.module
    assert options.training_script == "gsv2.train"
    assert (ROOT / options.training_script_args[0]).exists()


@pytest.mark.parametrize("path", DEEPSPEED, ids=lambda path: path.name)
def test_deepspeed_files_say_what_gsv2_does(path: Path) -> None:
    """All but the norm, which `optim` has for each trainable."""
    values = json.loads(path.read_text())
    stage = int(path.stem.removeprefix("zero"))
    ours = deepspeed_json(EngineConfig(kind="deepspeed", zero_stage=stage))
    assert values == {**ours, "gradient_clipping": "auto"}
    assert check_launcher_json(values, path.name).zero_stage == stage


@pytest.mark.parametrize("stage", [2, 3])
def test_a_deepspeed_launch_names_its_file(stage: int) -> None:
    config = ClusterConfig.from_yaml_file(LAUNCH / "accelerate" / f"deepspeed_zero{stage}.yaml")
    named = config.deepspeed_config["deepspeed_config_file"]
    assert ROOT / named == LAUNCH / "deepspeed" / f"zero{stage}.json"
