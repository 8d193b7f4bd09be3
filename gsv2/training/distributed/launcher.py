"""Launcher's wishes in the environment (`accelerate launch`), beside ranks and DeepSpeed.

Accelerate opens the process group here and does nothing else: it wraps no network, compiles none
and casts none. What a launcher asks of it beyond that is refused if a run would be another one
than was asked for, and named if it is merely without effect. DeepSpeed's settings are read in
`gsv2.training.engines.deepspeed_config`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import NamedTuple

import psutil

_REFUSED = {
    "ACCELERATE_USE_FSDP": (
        "--use_fsdp",
        "engines.NAME.kind=deepspeed with engines.NAME.zero_stage=3 shards parameters",
    ),
    "ACCELERATE_USE_MEGATRON_LM": (
        "--use_megatron_lm",
        "networks are not cut into ranks; engines.NAME chooses what shards them",
    ),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (
        "--use_parallelism_config",
        "every rank reads its own data; engines.NAME chooses what shards networks",
    ),
}
"""Flag of the environment -> that of the launcher, and what to use instead."""
_IGNORED = {
    "ACCELERATE_MIXED_PRECISION": ("--mixed_precision", "precision"),
    "ACCELERATE_DYNAMO_BACKEND": ("--dynamo_backend", "trainer.compile"),
}
"""Setting of the environment -> flag of the launcher, and the section of ours that decides."""
_UNSET = ("", "no")
_DEEPSPEED = "ACCELERATE_USE_DEEPSPEED"
_ACCELERATE = ({"accelerate-launch"}, {"accelerate.commands.launch"}, {"accelerate", "launch"})
"""Words of the command line of `accelerate launch`, in the ways of calling it."""


class LauncherError(ValueError):
    """A launcher that asks for what gsv2 does not do."""


class ParentProcess(NamedTuple):
    """The process that started this one."""

    command: Sequence[str]
    environ: Mapping[str, str]


def check_launcher(
    environ: Mapping[str, str] = os.environ, parent: ParentProcess | None = None
) -> None:
    """Check that a launcher asks for nothing that would train in another way.

    Args:
        environ: environment of this process.
        parent: what started this process; None = look.

    Raises:
        LauncherError: names the flag, and what to use instead.
    """
    _check_started(environ, parent or _parent())
    for key, (flag, instead) in _REFUSED.items():
        if environ.get(key, "").lower() == "true":
            raise LauncherError(
                f"{flag} of the launcher ({key}=true) is nothing that gsv2 runs under: {instead}; "
                "remove it"
            )


def _check_started(environ: Mapping[str, str], parent: ParentProcess) -> None:
    """Check that `accelerate launch`, which starts one process for `--cpu`, was asked for one.

    It tells its child nothing of the number. Its own command line has it, or else its config file,
    and it sets MASTER_ADDR only if more are wanted.
    """
    words = {*map(_name, parent.command)}
    if "WORLD_SIZE" in environ or not any(called <= words for called in _ACCELERATE):
        return
    asked = _asked_ranks(parent.command)
    is_addressed = "MASTER_ADDR" in environ and "MASTER_ADDR" not in parent.environ
    if asked > 1 or is_addressed:
        number = str(asked) if asked > 1 else "several"
        raise LauncherError(
            f"accelerate launch was asked for {number} ranks (num_processes), but started one; "
            "CPU ranks need --multi_gpu with ACCELERATE_USE_CPU=true, or "
            "`python launch/node.py --ranks RANKS -- -m gsv2.train ...`"
        )


def _name(word: str) -> str:
    return PurePath(word).name


def _asked_ranks(command: Sequence[str]) -> int:
    for word, following in zip(command, [*command[1:], ""], strict=True):
        flag, equals, value = word.replace("_", "-").partition("=")
        if flag == "--num-processes":
            text = value if equals else following
            return int(text) if text.isdecimal() else 1
    return 1


def _parent() -> ParentProcess:
    try:
        parent = psutil.Process().parent()
        if parent is not None:
            return ParentProcess(parent.cmdline(), parent.environ())
    except psutil.Error:  # hidden from us, or gone meanwhile
        pass
    return ParentProcess((), os.environ)


def ignored_flags(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the launcher's flags without effect, each with what decides instead."""
    return [
        f"{flag} ({section} decides)"
        for key, (flag, section) in _IGNORED.items()
        if environ.get(key, "").lower() not in _UNSET
    ]


@contextmanager
def hidden_deepspeed() -> Iterator[None]:
    """Hide `accelerate launch --use_deepspeed` from Accelerate, which would open its own group.

    It asks for engines, which `gsv2.training.engines.choose` makes.
    """
    kept = os.environ.pop(_DEEPSPEED, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[_DEEPSPEED] = kept
