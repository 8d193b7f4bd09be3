from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from accelerate.commands import launch
from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

import gsv2
from gsv2.training.distributed.launcher import (
    LauncherError,
    ParentProcess,
    check_launcher,
    hidden_deepspeed,
    ignored_flags,
)
from gsv2.training.distributed.ranks import Distributed

PACKAGE = Path(gsv2.__file__).parent


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Accelerate's own launcher makes of flags: the environment that ranks would get."""
    environments: list[dict[str, str]] = []

    def start(*flags: str, kind: str = "--multi_gpu") -> dict[str, str]:
        size = ("--num_machines", "1", "--num_processes", "2", "--main_process_port", "29500")
        words = [kind, *size, "--mixed_precision", "no", "--dynamo_backend", "no"]
        launch.launch_command(
            launch.launch_command_parser().parse_args([*words, *flags, "train.py"])
        )
        return environments[-1]

    def keep(options: Any) -> None:
        environments.append(prepare_multi_gpu_env(options))

    def keep_one(options: Any) -> None:
        environments.append(prepare_simple_launcher_cmd_env(options)[1])

    monkeypatch.setattr(launch, "multi_gpu_launcher", keep)
    monkeypatch.setattr(launch, "simple_launcher", keep_one)
    for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(key, raising=False)
    return start


def test_a_plain_launch_asks_for_nothing_else(launched: Any) -> None:
    environ = launched()
    check_launcher(environ)
    assert ignored_flags(environ) == []
    check_launcher({})
    assert ignored_flags({}) == []


def test_flags_that_other_settings_decide_are_named_with_them(launched: Any) -> None:
    environ = launched("--mixed_precision", "bf16", "--dynamo_backend", "inductor")
    check_launcher(environ)
    assert ignored_flags(environ) == [
        "--mixed_precision (precision decides)",
        "--dynamo_backend (trainer.compile decides)",
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("ACCELERATE_USE_FSDP", r"^--use_fsdp .*engines\.NAME\.zero_stage=3 shards"),
        ("ACCELERATE_USE_MEGATRON_LM", r"^--use_megatron_lm .*engines\.NAME chooses"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", r"^--use_parallelism_config .*engines\.NAME"),
    ],
)
def test_what_would_train_otherwise_is_refused_before_a_group_is_opened(
    monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv(key, "true")
    with pytest.raises(LauncherError, match=message):
        Distributed()
    monkeypatch.setenv(key, "false")
    check_launcher()


def test_the_launchers_fsdp_is_refused(launched: Any) -> None:
    with pytest.raises(LauncherError, match=r"ACCELERATE_USE_FSDP=true"):
        check_launcher(launched(kind="--use_fsdp"))


def test_deepspeed_is_hidden_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with hidden_deepspeed():
        assert "ACCELERATE_USE_DEEPSPEED" not in os.environ
    assert os.environ["ACCELERATE_USE_DEEPSPEED"] == "true"


def test_two_cpu_processes_of_accelerate_are_one(launched: Any) -> None:
    """Its launcher starts the script once, without ranks: hence --multi_gpu in ours (FACTS.md)."""
    environ = launched(kind="--cpu")
    assert environ["ACCELERATE_USE_CPU"] == "True"
    assert not environ.keys() & {"RANK", "WORLD_SIZE", "LOCAL_RANK"}


def test_accelerate_is_asked_for_the_process_group_alone() -> None:
    """It would shard a loader once more, step a schedule once per rank, wrap as it is launched."""
    users = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "accelerate" not in text:  # to parse all takes seconds
            continue
        tree = ast.parse(text)
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if _imports_accelerate(tree):
            users[path.relative_to(PACKAGE).as_posix()] = names
    assert users.keys() == {"training/distributed/ranks.py"}
    asked = {name for name in users["training/distributed/ranks.py"] if hasattr(Accelerator, name)}
    assert not {name for name in asked if name.startswith("prepare")}
    assert {"device", "process_index", "num_processes"} <= asked


def _imports_accelerate(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any((module or "").partition(".")[0] == "accelerate" for module in modules):
            return True
    return False


@pytest.mark.parametrize(
    "program", [["/bin/accelerate", "launch"], ["-m", "accelerate.commands.launch"]]
)
def test_ranks_that_accelerate_was_asked_for_and_did_not_start_are_an_error(
    launched: Any, program: list[str]
) -> None:
    command = ["python", *program, "--cpu"]
    for flags in (["--num_processes", "2"], ["--num-processes=2"]):
        with pytest.raises(LauncherError, match="asked for 2 ranks"):
            check_launcher({}, ParentProcess([*command, *flags, "-m", "x"], {}))
    with pytest.raises(LauncherError, match="asked for several ranks"):  # by its config file
        check_launcher(launched(kind="--cpu"), ParentProcess(command, {}))
    own = {"MASTER_ADDR": "n0"}
    check_launcher(own, ParentProcess(command, own))
    check_launcher({"WORLD_SIZE": "2"}, ParentProcess([*command, "--num_processes", "2"], {}))
    check_launcher({}, ParentProcess([*command, "--num_processes=1"], {}))
    check_launcher(own, ParentProcess(["bash"], {}))
