"""What `accelerate launch` asks for in the environment, beside ranks and DeepSpeed.

Accelerate opens the process group here and does nothing else: it wraps no network, compiles none
and casts none. What a launcher asks of it beyond that is refused if a run would be another one
than was asked for, and named if it is merely without effect. DeepSpeed's settings are read in
`gsv2.training.engines.deepspeed_config`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

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


class LauncherError(ValueError):
    """A launcher that asks for what gsv2 does not do."""


def check_launcher(environ: Mapping[str, str] = os.environ) -> None:
    """Check that a launcher asks for nothing that would train in another way.

    Raises:
        LauncherError: names the flag, and what to use instead.
    """
    for key, (flag, instead) in _REFUSED.items():
        if environ.get(key, "").lower() == "true":
            raise LauncherError(
                f"{flag} of the launcher ({key}=true) is nothing that gsv2 runs under: {instead}; "
                "remove it"
            )


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
