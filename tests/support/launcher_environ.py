"""Environment that `accelerate launch --use_deepspeed` gives its ranks, by its own code."""

from __future__ import annotations

import os
from unittest import mock

from accelerate.commands import launch
from accelerate.utils.launch import prepare_deepspeed_cmd_env

from tests.support.processes import free_port


def deepspeed_environ(*flags: str) -> dict[str, str]:
    """Return what the launcher sets for two ranks, without the seconds of its start."""
    size = ("--num_machines", "1", "--num_processes", "2", "--main_process_port", str(free_port()))
    rest = ("--mixed_precision", "no", "--dynamo_backend", "no")
    words = ["--use_deepspeed", *size, *rest, *flags, "train.py"]
    with mock.patch.object(launch, "deepspeed_launcher") as launcher:
        launch.launch_command(launch.launch_command_parser().parse_args(words))
    (options,) = launcher.call_args.args
    environ = prepare_deepspeed_cmd_env(options)[1]
    return {key: value for key, value in environ.items() if os.environ.get(key) != value}
